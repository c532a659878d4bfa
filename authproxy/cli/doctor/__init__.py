"""`authproxy doctor`."""
