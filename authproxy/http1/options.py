"""What an operator decides about connections."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """The same for all connections of a server; it must be picklable, for workers are given it."""

    # Whether the peer at an address begins with the PROXY protocol. None: nobody does.
    speaks_for_others: Callable[[str], bool] | None = None


DEFAULT = Options()
