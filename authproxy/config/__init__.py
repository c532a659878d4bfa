"""The configuration: CNCF Distribution's config.yml and REGISTRY_* variables, plus our own sections, as typed settings.

Knows files, variables and values; does not know what any part does with them.
"""
