"""A cache of headers: mostly each request of a connection has the same headers as the one before.

httptools has parsed them once, so a request that is a plain request line and then the same bytes needs no parser.
"""

import re
from typing import Any, Final, NamedTuple

from authproxy.asgi import Headers

# A usual request line: a method without a body, and a path with or without a query, in characters that httptools
# accepts too (RFC 9112 §3).
_PLAIN_LINE: Final = re.compile(rb"(GET|HEAD) (/[!\"$->@-~]*)(?:\?([!\"$-~]*))? HTTP/1\.1\r\n")

# The longest request that is cached, or compared with the cache, in bytes.
MAX_BYTES: Final = 8 * 1024


class HeaderBlock(NamedTuple):
    """The headers of a request that has no body and keeps the connection open."""

    headers: Headers
    facts: dict[str, Any]  # see asgi.facts


class Known:
    """The last header block of one connection."""

    def __init__(self) -> None:
        self._text = b""
        self._block: HeaderBlock | None = None

    def read(self, data: bytes) -> tuple[bytes, bytes, bytes, HeaderBlock] | None:
        """Method, path, query and headers of the request that `data` consists of. None: it must be parsed."""
        block, text = self._block, self._text
        if block is None or not data.endswith(text) or len(data) > MAX_BYTES:
            return None
        line = _PLAIN_LINE.fullmatch(data, 0, len(data) - len(text))
        if line is None:
            return None
        method, path, query = line.groups(b"")
        return method, path, query, block

    def learn(self, data: bytes, block: HeaderBlock) -> None:
        """Cache the headers of the request that `data` consisted of."""
        line = _PLAIN_LINE.match(data)
        if line is not None and len(data) <= MAX_BYTES:
            self._text, self._block = data[line.end() :], block
