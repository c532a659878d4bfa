"""The error that ends a build."""


class ReleaseError(Exception):
    """A release cannot be made: what is wrong and what to do, in one or two sentences."""
