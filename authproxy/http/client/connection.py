"""HTTP/1.1 to the upstream: one request after the other on one connection."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from authproxy.asgi import Headers
from authproxy.http.client.errors import TimedOut, Unsendable
from authproxy.http.client.network import HasAnswered, Wire
from authproxy.http.client.parser import FIRST_FINAL, ResponseHead, ResponseParser
from authproxy.http.client.slow_clients import Transfer

# RFC 9110 §10.1.1: a client that waits for 100 (Continue) goes on after a while: some servers never send it.
CONTINUE_WITHIN_S = 1.0

_AFTER_SUCCESS = 300


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long we wait for the upstream, in seconds."""

    connect_s: float = 10
    read_s: float = 900  # for the head, and between two pieces: a registry may hash gigabytes first
    write_s: float = 900
    pool_s: float = 30  # for a connection, if all are in use


@dataclass(frozen=True, slots=True, eq=False)
class UpstreamRequest:
    """A request, sent byte for byte: `headers` frame the body by `content-length` or `transfer-encoding: chunked`.

    With `expects_continue` the body is not read before the upstream wants it. `body` None: no body. `fields` is the
    result of `encode_fields` for the headers, if it is already known. `transfer` measures the client's speed, if any.
    """

    method: str
    target: bytes
    headers: Headers
    body: AsyncIterator[bytes | bytearray] | None = None
    expects_continue: bool = False
    fields: bytes | None = None
    transfer: Transfer | None = None

    @property
    def is_repeatable(self) -> bool:
        """Whether repeating it changes nothing (RFC 9110 §9.2.1). DELETE does not count: repeated, it answers 404."""
        return self.method in ("GET", "HEAD") and self.body is None


class UpstreamConnection:
    """Sends requests, and reads their responses. One request at a time."""

    def __init__(self, wire: Wire, timeouts: Timeouts) -> None:
        self.wire = wire
        self.idle_since = 0.0
        self._timeouts = timeouts
        self._parser: ResponseParser | None = None
        self._is_sent = False

    async def ask(self, request: UpstreamRequest) -> ResponseHead:
        """Send a request, or as much of it as the upstream wants. Returns the response's head. Raises UpstreamError."""
        self._is_sent = False
        self._parser = parser = ResponseParser(request.method)
        self.wire.begin_request()
        try:
            self.wire.send(_head(request))
            if request.body is not None:
                await self._send_body(request, request.body, parser)
            self._is_sent = True
        except HasAnswered:
            pass
        while parser.head is None:
            parser.check()
            parser.take(await self.wire.read(self._timeouts.read_s))
        return parser.head

    async def read(self) -> bytes:
        """The next piece of the response's body, b"" at its end. Raises UpstreamError if it breaks off."""
        parser = self._parser
        assert parser is not None
        while not parser.pieces:
            if parser.is_complete:
                return b""
            parser.check()
            parser.take(await self.wire.read(self._timeouts.read_s))
        return parser.pieces.popleft()

    def rest(self) -> bytes | None:
        """The unread rest of the response's body, if it has all arrived; else None."""
        parser = self._parser
        assert parser is not None
        if not parser.is_complete:
            return None
        body = b"".join(parser.pieces)
        parser.pieces.clear()
        return body

    def is_whole(self) -> bool:
        """Whether it can be used again: the last request and response are complete, and neither closes it."""
        parser = self._parser
        return (
            parser is not None
            and parser.is_complete
            and parser.keeps_alive
            and self._is_sent
            and not parser.has_excess
            and not parser.pieces
        )

    async def _send_body(
        self, request: UpstreamRequest, body: AsyncIterator[bytes | bytearray], parser: ResponseParser
    ) -> None:
        write_s = self._timeouts.write_s
        if request.expects_continue:
            await self._await_continue(parser)
        length = next((int(value) for name, value in request.headers if name == b"content-length"), None)
        sent = 0
        async for piece in body:
            sent += len(piece)
            await self.wire.write(piece if length is not None else _chunk(piece), write_s)
        if length is None:
            await self.wire.write(b"0\r\n\r\n", write_s)
        elif sent != length:
            raise Unsendable(f"the body has {sent} bytes and not {length}")

    async def _await_continue(self, parser: ResponseParser) -> None:
        """Wait until the upstream wants the body, or answers without it. Raises HasAnswered if it refuses."""
        with suppress(TimedOut):
            while parser.head is None and not parser.may_go_on:
                parser.check()
                parser.take(await self.wire.read(CONTINUE_WITHIN_S))
        if parser.head is not None and not FIRST_FINAL <= parser.head.status < _AFTER_SUCCESS:
            raise HasAnswered("the upstream has refused the request's head")


def encode_fields(headers: Headers) -> bytes:
    """Header lines to send, unchecked."""
    return b"".join([b"%b: %b\r\n" % pair for pair in headers])


def _head(request: UpstreamRequest) -> bytes:
    fields = encode_fields(request.headers) if request.fields is None else request.fields
    head = b"%b %b HTTP/1.1\r\n%b\r\n" % (request.method.encode(), request.target, fields)
    # No header may become two, whatever it contains (CWE-113).
    if not len(request.headers) + 2 == head.count(b"\n") == head.count(b"\r") or b"\0" in head:
        raise Unsendable("a header contains a line break or a NUL")
    return head


def _chunk(piece: bytes | bytearray) -> bytes:
    """RFC 9112 §7.1."""
    return b"".join((b"%x\r\n" % len(piece), piece, b"\r\n"))
