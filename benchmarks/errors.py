"""What ends a run. A figure that cannot be trusted is never printed: the run stops instead."""


class BenchmarkError(Exception):
    """Something the person at the keyboard has to know, in one sentence that says where to look."""


class WrongAnswer(BenchmarkError):
    """A server answered with another status, length or digest than it must: its speed would mean nothing."""
