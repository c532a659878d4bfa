"""`authproxy trust`."""
