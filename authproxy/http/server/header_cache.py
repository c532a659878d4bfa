"""Headers that a client sends again: mostly each request of a connection has those of the one before.

httptools has read them once, so a request that is a plain request line and then the same bytes needs no parser.
"""

import re
from typing import Any, Final, NamedTuple

from authproxy.asgi import Headers

# A request line as nearly all are: a method without a body, and a path with or without a query in characters that
# httptools takes too (RFC 9112 §3).
_PLAIN_LINE: Final = re.compile(rb"(GET|HEAD) (/[!\"$->@-~]*)(?:\?([!\"$-~]*))? HTTP/1\.1\r\n")

# What is remembered of a connection, in bytes, and the longest request that is looked at.
MAX_BYTES: Final = 8 * 1024


class HeaderBlock(NamedTuple):
    """All that follows the request line of a request which has no body and is followed by others."""

    headers: Headers
    facts: dict[str, Any]  # see asgi.facts


class Known:
    """The header block of one connection that came last."""

    def __init__(self) -> None:
        self._text = b""
        self._block: HeaderBlock | None = None

    def read(self, data: bytes) -> tuple[bytes, bytes, bytes, HeaderBlock] | None:
        """Method, path, query and headers of a request that is all of `data`. None: it is to be parsed."""
        block, text = self._block, self._text
        if block is None or not data.endswith(text) or len(data) > MAX_BYTES:
            return None
        line = _PLAIN_LINE.fullmatch(data, 0, len(data) - len(text))
        if line is None:
            return None
        method, path, query = line.groups(b"")
        return method, path, query, block

    def learn(self, data: bytes, block: HeaderBlock) -> None:
        """Remember the headers of a request that was all of `data`."""
        line = _PLAIN_LINE.match(data)
        if line is not None and len(data) <= MAX_BYTES:
            self._text, self._block = data[line.end() :], block
