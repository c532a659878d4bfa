"""What an operator decides about connections."""

from collections.abc import Callable
from dataclasses import dataclass

# A request's target and headers, in bytes. A token with many scopes is a few thousand.
MAX_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Options:
    """The same for all connections of a server; it must be picklable, for workers are given it."""

    max_head_bytes: int = MAX_HEAD_BYTES

    # Whether the peer at an address begins with the PROXY protocol. None: nobody does.
    speaks_for_others: Callable[[str], bool] | None = None

    # Whether the peer at an address is a trusted proxy: its connections count against no share. None: no peer is.
    is_proxy: Callable[[str], bool] | None = None


DEFAULT = Options()
