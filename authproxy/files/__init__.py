"""Reads files of operators and other programs, watches and replaces them, with the rights of their owner."""
