"""The client of any registry: names as docker reads them, logins that docker has stored, tokens, manifests and blobs.

It speaks OCI Distribution 1.1 to any registry, and knows nothing of our own registry.
"""
