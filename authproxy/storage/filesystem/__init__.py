"""The driver on a folder."""
