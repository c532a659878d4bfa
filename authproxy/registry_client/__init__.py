"""A client of any registry: hosts, docker's stored logins, tokens, requests with retries.

Speaks OCI Distribution 1.1, and knows nothing of our own registry.
"""
