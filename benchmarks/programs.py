"""The programs of Debian packages that a run starts; packages.txt lists them."""

from benchmarks.errors import BenchmarkError
from tests.support.binaries import ProgramNotListed, binary


def find_program(name: str) -> str | None:
    """The absolute path of a program, or None if its package is not installed."""
    try:
        return binary(name)
    except ProgramNotListed:
        return None


def program(name: str) -> str:
    """The absolute path of a required program. Raises BenchmarkError that says how to install it."""
    try:
        return binary(name)
    except ProgramNotListed as exc:
        raise BenchmarkError(str(exc)) from exc
