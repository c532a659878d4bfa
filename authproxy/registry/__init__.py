"""Our own backend: the OCI registry core, above any storage driver. Knows nothing of tokens."""
