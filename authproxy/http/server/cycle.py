"""One request and its response: ASGI's `receive` and `send` on one side, the bytes of HTTP/1.1 on the other."""

import asyncio
from http import HTTPStatus
from typing import NamedTuple, Protocol, TypeAlias

import structlog

from authproxy.asgi import DEPARTURE, App, Departure, Message, Scope
from authproxy.http.eager_tasks import start_task
from authproxy.http.server.body import Body

log = structlog.get_logger(__name__)

# A body up to this length is sent together with its head: one record of TLS, one packet.
JOINED_BYTES = 64 * 1024

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_FAULT = b"internal error\n"

# Responses without a body and without its length (RFC 9110 §6.4.1).
_WITHOUT_BODY = (204, 304)


Pairs: TypeAlias = tuple[tuple[bytes, bytes], ...]


class Head(NamedTuple):
    """The part of a response's status line and headers that does not depend on the request, as bytes."""

    lines: bytes
    length: int  # of the body, as announced; negative: not announced
    closes: bool  # the application wants to close the connection


# A cache of heads: most responses have the same few, which are short.
MAX_KNOWN = 1024
MAX_KNOWN_BYTES = 2048
_KNOWN: dict[tuple[int, Pairs], Head] = {}

# A header that differs in each response: if it is the last, the head is cached without it.
_UNIQUE_HEADER = b"x-request-id"


class Channel(Protocol):
    """What a cycle needs of its connection."""

    loop: asyncio.AbstractEventLoop
    is_behind: bool  # the client has not read what was written

    @property
    def common_head(self) -> bytes:
        """Header lines of every response."""

    @property
    def has_much_to_read(self) -> bool:
        """So much of the request's body is still to come that reading and dropping it is not worth it."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes of the response: they belong to the channel from now on, and must not change."""

    async def drain(self) -> None:
        """Wait while the client is behind."""

    def read_on(self) -> None:
        """Resume reading the request: there is room for more."""

    def finish(self, cycle: "Cycle") -> None:
        """The response is complete."""

    def break_off(self, *, shows: bool) -> None:
        """The response can't be completed: end the connection. `shows`: its framing shows that to the client."""

    def keep(self, task: "asyncio.Task[None]") -> None:
        """Keep a reference to a task until it has ended."""


class Cycle:
    """Runs the application for one request. `keep_alive`: the client may send more requests on this connection."""

    # Defaults in the class, because a connection makes one for each request.
    has_begun = False  # the response: its head is made
    is_complete = False  # the response
    _has_passed_end = False  # of the request's body, to the application
    _has_lost_client = False
    _gone: asyncio.Future[None] | None = None
    _head: bytes | None = None  # waits for the first piece of the body, to be sent with it
    _is_chunked = False
    _left = 0  # bytes that were announced and not sent yet; negative: no length was announced

    def __init__(self, channel: Channel, scope: Scope, body: Body, *, keep_alive: bool, expects_continue: bool) -> None:
        self.scope = scope
        self.body = body
        self.keep_alive = keep_alive
        self._channel = channel
        self._expects_continue = expects_continue
        self._departure = scope[DEPARTURE] = Departure()

    def run(self, app: App) -> None:
        """Begin the request at once, in the caller's stack. If it waits, it continues in its task."""
        task = start_task(self._channel.loop, self._serve(app))
        if not task.done():
            self._channel.keep(task)

    def lose_client(self) -> None:
        """The client has disconnected. The received part of the body can still be read."""
        self._has_lost_client = True
        self._signal_gone()
        if not self.is_complete:
            self._departure.set()

    async def receive(self) -> Message:
        """See ASGI. A piece of the body is `bytes`, or a `bytearray` that is not used again."""
        body = self.body
        if self._expects_continue:
            self._expects_continue = False
            if not self.has_begun and not body.has_begun:
                self._channel.write(_CONTINUE)
        while not self._has_passed_end and not self.is_complete:
            if not self._has_lost_client:
                await body.wait()
            piece = body.take()
            if piece or body.is_read:
                self._has_passed_end = body.is_read
                self._channel.read_on()
                return {"type": "http.request", "body": piece, "more_body": not self._has_passed_end}
            if self._has_lost_client:
                break
        if not self._has_lost_client and not self.is_complete:
            if self._gone is None:
                self._gone = self._channel.loop.create_future()
            await asyncio.shield(self._gone)  # other tasks still wait when this one is cancelled
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """See ASGI. Waits while the client is behind. Dropped if the client has disconnected.

        Raises RuntimeError for an invalid response: out of order, or longer or shorter than its Content-Length.
        """
        if self._has_lost_client:
            return
        if not self.has_begun:
            self._begin(message)
            return
        if message["type"] != "http.response.body":
            raise RuntimeError(f"http.response.start must be followed by http.response.body, not {message['type']}")
        more = message.get("more_body", False)
        self._write(message.get("body", b""), more=more)
        if more and self._channel.is_behind:
            await self._channel.drain()

    def _begin(self, message: Message) -> None:
        """Make the head, which waits for the body. Raises RuntimeError for one that can't be sent."""
        if message["type"] != "http.response.start":
            raise RuntimeError(f"a response must begin with http.response.start, not {message['type']}")
        if not self.body.has_ended and (self._expects_continue or self._channel.has_much_to_read):
            # A client that waits for 100 (Continue) may now omit its body (RFC 9110 §10.1.1): the next bytes could be
            # the body or another request.
            self.keep_alive = False
        status, pairs = message["status"], tuple(message["headers"])
        own = b""
        if pairs and pairs[-1][0] == _UNIQUE_HEADER:
            own, pairs = _make_line(*pairs[-1]), pairs[:-1]
        lines, length, closes = _KNOWN.get((status, pairs)) or _make_head(status, pairs)
        if closes:
            self.keep_alive = False
        self._head = b"".join((lines, own, self._channel.common_head, self._decide_framing(status, length), b"\r\n"))
        self.has_begun = True

    def _decide_framing(self, status: int, length: int) -> bytes:
        """Decide how the client finds the end of the body, and return the header lines for it. Negative: no length."""
        lines = b""
        is_old = self.scope["http_version"] == "1.0"
        self._is_chunked = False
        if self.scope["method"] == "HEAD" or status in _WITHOUT_BODY:
            length = 0
        elif length < 0 and is_old:
            self.keep_alive = False
        elif length < 0:
            self._is_chunked = True
            lines = b"transfer-encoding: chunked\r\n"
        if not self.keep_alive:
            lines += b"connection: close\r\n"
        elif is_old:  # else the client waits for the end of the connection (RFC 9112 appendix C.2.2)
            lines += b"connection: keep-alive\r\n"
        self._left = length
        return lines

    def _write(self, body: bytes | bytearray | memoryview, *, more: bool) -> None:
        if self.is_complete:
            raise RuntimeError("the response is already complete")
        if self._is_chunked:
            body = b"".join((b"%x\r\n" % len(body), body, b"\r\n" if more else b"\r\n0\r\n\r\n") if body else ())
            body = body or (b"" if more else b"0\r\n\r\n")
        elif self.scope["method"] == "HEAD":
            body = b""
        elif self._left >= 0:
            left = self._left - len(body)
            if left < 0 or (left and not more):
                raise RuntimeError("the response's body does not have the length of its Content-Length")
            self._left = left
        head, self._head = self._head, None
        if head is not None and len(body) <= JOINED_BYTES:
            self._channel.write(head + body)
        else:
            if head is not None:
                self._channel.write(head)
            if body:
                self._channel.write(body)
        if not more:
            self._complete()

    def _complete(self) -> None:
        self.is_complete = True
        if self._gone is not None or not self.body.has_ended:  # a task may wait for more
            self._signal_gone()
        self._channel.finish(self)

    async def _serve(self, app: App) -> None:
        try:
            await app(self.scope, self.receive, self.send)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - after any error the response must end
            self._end(error)
        else:
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        """The application has returned or raised: end the response first, then log the cause."""
        had_begun = self.has_begun
        try:
            self._end_response()
        finally:
            if error is not None:
                # If the response had begun, the application has logged the cause; a cancelled request has none.
                trace = None if had_begun or isinstance(error, asyncio.CancelledError) else error
                about = {"method": self.scope["method"], "path": self.scope["path"], "error": repr(error)}
                log.error("request broke off", **about, exc_info=trace)

    def _end_response(self) -> None:
        """Make sure that no client waits for a response, or for the rest of one."""
        if self.is_complete or self._has_lost_client:
            return
        if self.has_begun and self._head is None:
            self._channel.break_off(shows=self._is_chunked or self._left >= 0)
            return
        self.keep_alive = False
        self.has_begun = False
        length = b"%d" % len(_FAULT)
        self._begin({"type": "http.response.start", "status": 500, "headers": [(b"content-length", length)]})
        self._write(b"" if self.scope["method"] == "HEAD" else _FAULT, more=False)

    def _signal_gone(self) -> None:
        self.body.wake()
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)


def _make_line(name: bytes, value: bytes) -> bytes:
    """One header line. Raises RuntimeError if it would become two (CWE-113)."""
    if b"\n" in value or b"\r" in value:
        raise RuntimeError("a header of the response contains a line break")
    return b"%b: %b\r\n" % (name, value)


def _make_head(status: int, headers: Pairs) -> Head:
    """The part of a head that does not depend on the request. Raises RuntimeError for one that can't be sent."""
    lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n".encode()]
    length, closes = -1, False
    for name, value in headers:
        if name == b"content-length":
            if not value.isdigit():
                raise RuntimeError("the Content-Length of the response is not a number")
            length = int(value)
        elif name == b"connection":
            closes = closes or b"close" in value.lower()
            continue
        elif name == b"transfer-encoding":  # we decide the framing
            continue
        lines.append(b"%b: %b\r\n" % (name, value))
    text = b"".join(lines)
    # No header may become two, whatever it contains (CWE-113).
    if not len(lines) == text.count(b"\n") == text.count(b"\r"):
        raise RuntimeError("a header of the response contains a line break")
    head = Head(text, length, closes)
    if len(text) <= MAX_KNOWN_BYTES:
        if len(_KNOWN) >= MAX_KNOWN:
            _KNOWN.clear()
        _KNOWN[status, headers] = head
    return head
