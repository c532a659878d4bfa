"""Looking after a storage: collecting garbage, verifying, retention, usage, and the background jobs that do so."""
