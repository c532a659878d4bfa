"""The programs of other people that a run starts: those of Debian packages that the repository lists."""

from benchmarks.errors import BenchmarkError
from tests.support.binaries import ProgramNotListed, binary


def find_program(name: str) -> str | None:
    """The absolute path of a program, or None where its package is not installed."""
    try:
        return binary(name)
    except ProgramNotListed:
        return None


def program(name: str) -> str:
    """The absolute path of a program that a run cannot do without. Raises BenchmarkError that says what to do."""
    try:
        return binary(name)
    except ProgramNotListed as exc:
        raise BenchmarkError(str(exc)) from exc
