"""authproxy: the registry's front door."""

__version__ = "0.2.0"
