"""Imports zot's access control."""
