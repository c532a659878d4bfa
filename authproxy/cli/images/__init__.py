"""`authproxy images …`."""
