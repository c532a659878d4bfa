"""`authproxy policy …`."""
