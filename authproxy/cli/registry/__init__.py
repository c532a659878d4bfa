"""`authproxy registry …`."""
