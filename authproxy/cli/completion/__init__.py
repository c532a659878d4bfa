"""`authproxy completion`."""
