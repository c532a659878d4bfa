"""`authproxy audit …`."""
