"""Errors that end a run. A figure that cannot be trusted is never printed: the run stops instead."""


class BenchmarkError(Exception):
    """A message for the user, in one sentence that says where to look."""


class WrongAnswer(BenchmarkError):
    """A server answered with a wrong status, length or digest: its speed would mean nothing."""
