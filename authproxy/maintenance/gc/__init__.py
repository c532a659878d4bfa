"""Garbage collection. What is kept and why: docs/explanation/garbage-collection.md."""
