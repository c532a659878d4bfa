"""Parse the upstream's response. No I/O.

httptools (llhttp) parses the head and chunks, and is strict about both: two lengths, a length with a transfer coding,
a folded or broken header are all errors. A body of known length is neither parsed nor copied.
"""

from collections import deque
from typing import NamedTuple

import httptools

from authproxy.asgi import Headers
from authproxy.http.client.errors import BrokeOff, NotHttp

# In bytes, informational responses included: registries and storage services send a few thousand.
MAX_HEAD = 100 * 1024

# RFC 9110 §15: the range of final statuses, two informational ones, and the responses without a body.
FIRST_FINAL, LAST = 200, 599
CONTINUE, SWITCHING_PROTOCOLS = 100, 101
_WITHOUT_BODY = (204, 304)


class ResponseHead(NamedTuple):
    """Status and headers as received, names in the upstream's spelling."""

    status: int
    headers: Headers


class ResponseParser:
    """Parses the response to one request with this method. Feed it until `is_complete`; take the body from `pieces`."""

    def __init__(self, method: str) -> None:
        self.head: ResponseHead | None = None
        self.pieces: deque[bytes] = deque()
        self.is_complete = False
        self.has_excess = False  # bytes arrived after the end of the response
        self.may_go_on = False  # the upstream has sent 100 (Continue)
        self.keeps_alive = False  # the upstream keeps the connection open
        self._is_to_head = method == "HEAD"
        self._headers: Headers = []
        self._head_bytes = 0
        self._left = -1  # missing bytes of a body with a length
        self._ends_with_connection = False
        self._fault: str | None = None
        self._parser = httptools.HttpResponseParser(self)

    def take(self, data: bytes) -> None:
        """`feed` the data, or `end` if it is empty."""
        if data:
            self.feed(data)
        else:
            self.end()

    def feed(self, data: bytes) -> None:
        """Parse bytes from the socket. An error is raised by `check`, after the pieces before it have been used."""
        if self.is_complete:
            self.has_excess = True
        elif self._left > 0:
            self._take_counted(data)
        elif self._ends_with_connection:
            self.pieces.append(data)
        else:
            self._parse(data)

    def check(self) -> None:
        """Raise NotHttp if the next bytes are not a valid response."""
        if self._fault is not None:
            raise NotHttp(self._fault)

    def end(self) -> None:
        """The connection has ended. Raises BrokeOff if the response is known to be incomplete."""
        if not self._ends_with_connection:
            raise BrokeOff("the connection ended before the response did")
        self.is_complete = True

    def _take_counted(self, data: bytes) -> None:
        if len(data) > self._left:
            self.has_excess = True
            data = data[: self._left]
        self._left -= len(data)
        self.pieces.append(data)
        self.is_complete = not self._left

    def _parse(self, data: bytes) -> None:
        if self.head is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as exc:
            if self.is_complete:
                self.has_excess = True
            else:
                self._fault = self._fault or str(exc)
        if self.head is None and self._head_bytes > MAX_HEAD:
            self._fault = f"more than {MAX_HEAD} bytes of headers"

    # Called by httptools.

    def on_message_begin(self) -> None:
        """A response begins; one after the final response is excess."""
        self.has_excess = self.is_complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or a trailer, which is dropped."""
        if self.head is None:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """A head is complete: that of the final response, or an informational one."""
        if self.head is not None or self._fault is not None:
            return
        status, headers = self._parser.get_status_code(), self._headers
        self._headers = []
        if status < FIRST_FINAL:
            self.may_go_on = self.may_go_on or status == CONTINUE
            if status == SWITCHING_PROTOCOLS:
                self._fault = "the upstream switches to another protocol, which was not requested"
            return
        if status > LAST:
            self._fault = f"{status} is not a valid status"
            return
        self.keeps_alive = self._parser.should_keep_alive()
        self._decide_framing(status, headers)
        if self._fault is None:
            self.head = ResponseHead(status, headers)

    def on_body(self, data: bytes) -> None:
        """A part of the body, without the framing of chunks."""
        if self.is_complete:
            self.has_excess = True
            return
        self._left -= len(data)
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        """The end of a response: the final one, or an informational one."""
        if self.head is not None:
            self.is_complete = True

    def _decide_framing(self, status: int, headers: Headers) -> None:
        """RFC 9112 §6.3, for a client."""
        if self._is_to_head or status in _WITHOUT_BODY:
            self.is_complete = True
            return
        codings, lengths = [], []
        for name, value in headers:
            match name.lower():
                case b"transfer-encoding":
                    codings.append(value.strip().lower())
                case b"content-length":
                    lengths.append(value)
        if codings:
            if codings != [b"chunked"]:
                self._fault = f"the transfer coding {codings!r} is not chunked"
        elif lengths:
            self._left = int(lengths[0])
        else:
            self._ends_with_connection = True
