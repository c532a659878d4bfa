"""authproxy: the registry's front door."""

from importlib.metadata import version

__version__ = version("authproxy")
