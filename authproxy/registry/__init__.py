"""The backend that is our own: the OCI registry core, above any storage driver. Knows nothing of tokens."""
