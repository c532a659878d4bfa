"""The operator's settings for connections."""

from collections.abc import Callable
from dataclasses import dataclass

# The longest target and headers of a request, in bytes. A token with many scopes has a few thousand.
MAX_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Options:
    """The same for all connections of a server."""

    max_head_bytes: int = MAX_HEAD_BYTES

    # Whether the peer at an address begins with the PROXY protocol. None: no peer does.
    sends_preamble: Callable[[str], bool] | None = None

    # Whether the peer at an address is a trusted proxy: its connections count against no share. None: no peer is.
    is_proxy: Callable[[str], bool] | None = None


DEFAULT = Options()
