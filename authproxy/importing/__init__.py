"""Translates access rules of other systems: what translates exactly becomes rules, the rest becomes findings.

An importer reads a file and returns rules, cases and findings; it writes nothing. What our language cannot express is
translated to less access: an imported policy never allows what the old one denied.
"""
