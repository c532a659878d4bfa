"""One request and its answer: ASGI's `receive` and `send` on one side, the bytes of HTTP/1.1 on the other."""

import asyncio
from http import HTTPStatus
from typing import NamedTuple, Protocol, TypeAlias

import structlog

from authproxy.asgi import DEPARTURE, App, Departure, Message, Scope
from authproxy.http.eager import start_task
from authproxy.http.server.body import Body

log = structlog.get_logger(__name__)

# A body up to this length goes out together with its head: one record of TLS, one packet.
JOINED_BYTES = 64 * 1024

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_FAULT = b"internal error\n"

# Answers that have no body, and none announced (RFC 9110 §6.4.1).
_WITHOUT_BODY = (204, 304)


Pairs: TypeAlias = tuple[tuple[bytes, bytes], ...]


class Head(NamedTuple):
    """Status line and headers of an answer, as bytes, as far as no request changes them."""

    lines: bytes
    length: int  # of the body, as announced; negative: it is not
    closes: bool  # the application wants the connection to end


# Heads that were made before: most answers are the same few. Those are short.
MAX_KNOWN = 1024
MAX_KNOWN_BYTES = 2048
_KNOWN: dict[tuple[int, Pairs], Head] = {}

# A header that is another in each answer: where it is the last, what stands before it is remembered without it.
_OF_ONE_ANSWER = b"x-request-id"


class Channel(Protocol):
    """What a cycle needs of its connection."""

    loop: asyncio.AbstractEventLoop
    is_behind: bool  # the client has not taken what was written

    @property
    def common_head(self) -> bytes:
        """Header lines that every answer gets."""

    @property
    def has_much_to_read(self) -> bool:
        """More of the request's body is to come than anybody should read just to drop it."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hand over bytes of the answer: they are the channel's from now on, and must not change."""

    async def drain(self) -> None:
        """Wait while the client is behind."""

    def read_on(self) -> None:
        """There is room again for more of the request."""

    def finish(self, cycle: "Cycle") -> None:
        """The answer is complete."""

    def break_off(self, *, shows: bool) -> None:
        """The answer can't be completed: end the connection. `shows`: how it is framed tells the client."""

    def keep(self, task: "asyncio.Task[None]") -> None:
        """Hold on to a task until it has ended."""


class Cycle:
    """Runs the application for one request. `keep_alive`: the client would send more on this connection."""

    # How each begins: in the class, since a connection makes one for each request.
    has_begun = False  # the answer is: its head is made
    is_complete = False  # the answer is
    _has_told_end = False  # of the request's body, to the application
    _has_lost_client = False
    _gone: asyncio.Future[None] | None = None
    _head: bytes | None = None  # waits for the first piece of the body, to leave with it
    _is_chunked = False
    _left = 0  # bytes that were announced and not sent yet; negative: none were announced

    def __init__(self, channel: Channel, scope: Scope, body: Body, *, keep_alive: bool, expects_continue: bool) -> None:
        self.scope = scope
        self.body = body
        self.keep_alive = keep_alive
        self._channel = channel
        self._expects_continue = expects_continue
        self._departure = scope[DEPARTURE] = Departure()

    def run(self, app: App) -> None:
        """Begin with the request at once, in the caller's stack. One that waits goes on in its task."""
        task = start_task(self._channel.loop, self._serve(app))
        if not task.done():
            self._channel.keep(task)

    def lose_client(self) -> None:
        """The connection is gone. What has come of the body is still to be had."""
        self._has_lost_client = True
        self._tell_gone()
        if not self.is_complete:
            self._departure.come()

    async def receive(self) -> Message:
        """See ASGI. A piece of the body is `bytes`, or a `bytearray` that nobody else will touch again."""
        body = self.body
        if self._expects_continue:
            self._expects_continue = False
            if not self.has_begun and not body.has_begun:
                self._channel.write(_CONTINUE)
        while not self._has_told_end and not self.is_complete:
            if not self._has_lost_client:
                await body.wait()
            piece = body.take()
            if piece or body.is_read:
                self._has_told_end = body.is_read
                self._channel.read_on()
                return {"type": "http.request", "body": piece, "more_body": not self._has_told_end}
            if self._has_lost_client:
                break
        if not self._has_lost_client and not self.is_complete:
            if self._gone is None:
                self._gone = self._channel.loop.create_future()
            await asyncio.shield(self._gone)  # whoever else waits goes on when this one is cancelled
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """See ASGI. Waits while the client is behind. What is sent to a client that has gone is dropped.

        Raises RuntimeError for what is no answer of HTTP: out of order, longer or shorter than its Content-Length.
        """
        if self._has_lost_client:
            return
        if not self.has_begun:
            self._begin(message)
            return
        if message["type"] != "http.response.body":
            raise RuntimeError(f"what follows http.response.start is http.response.body, not {message['type']}")
        more = message.get("more_body", False)
        self._write(message.get("body", b""), more=more)
        if more and self._channel.is_behind:
            await self._channel.drain()

    def _begin(self, message: Message) -> None:
        """Make the head, which waits for what follows. Raises RuntimeError for one that can't be sent."""
        if message["type"] != "http.response.start":
            raise RuntimeError(f"an answer begins with http.response.start, not {message['type']}")
        if not self.body.has_ended and (self._expects_continue or self._channel.has_much_to_read):
            # A client that waits for leave to send its body may leave it out now (RFC 9110 §10.1.1): what came next
            # could be the body or another request.
            self.keep_alive = False
        status, pairs = message["status"], tuple(message["headers"])
        own = b""
        if pairs and pairs[-1][0] == _OF_ONE_ANSWER:
            own, pairs = _make_line(*pairs[-1]), pairs[:-1]
        lines, length, closes = _KNOWN.get((status, pairs)) or _make_head(status, pairs)
        if closes:
            self.keep_alive = False
        self._head = b"".join((lines, own, self._channel.common_head, self._decide_framing(status, length), b"\r\n"))
        self.has_begun = True

    def _decide_framing(self, status: int, length: int) -> bytes:
        """How the client sees where the body ends, and the header lines for it. `length` negative: none is known."""
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
        elif is_old:  # which else waits for the connection's end (RFC 9112 appendix C.2.2)
            lines += b"connection: keep-alive\r\n"
        self._left = length
        return lines

    def _write(self, body: bytes | bytearray | memoryview, *, more: bool) -> None:
        if self.is_complete:
            raise RuntimeError("the answer is complete already")
        if self._is_chunked:
            body = b"".join((b"%x\r\n" % len(body), body, b"\r\n" if more else b"\r\n0\r\n\r\n") if body else ())
            body = body or (b"" if more else b"0\r\n\r\n")
        elif self.scope["method"] == "HEAD":
            body = b""
        elif self._left >= 0:
            left = self._left - len(body)
            if left < 0 or (left and not more):
                raise RuntimeError("the answer's body is not as long as its Content-Length")
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
        if self._gone is not None or not self.body.has_ended:  # somebody may wait for more
            self._tell_gone()
        self._channel.finish(self)

    async def _serve(self, app: App) -> None:
        try:
            await app(self.scope, self.receive, self.send)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever it is, the client gets an end
            self._end(error)
        else:
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        """The application has returned, or raised: first the client gets an end, then the log gets the cause."""
        had_begun = self.has_begun
        try:
            self._end_answer()
        finally:
            if error is not None:
                # With an answer under way the layers that make the answers have logged the cause; a drain has none.
                trace = None if had_begun or isinstance(error, asyncio.CancelledError) else error
                about = {"method": self.scope["method"], "path": self.scope["path"], "error": repr(error)}
                log.error("request broke off", **about, exc_info=trace)

    def _end_answer(self) -> None:
        """Leave no client waiting for an answer, or for the rest of one."""
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

    def _tell_gone(self) -> None:
        self.body.wake()
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)


def _make_line(name: bytes, value: bytes) -> bytes:
    """One header. Raises RuntimeError where it would become two (CWE-113)."""
    if b"\n" in value or b"\r" in value:
        raise RuntimeError("a header of the answer has a line break in it")
    return b"%b: %b\r\n" % (name, value)


def _make_head(status: int, headers: Pairs) -> Head:
    """The part of a head that does not depend on the request. Raises RuntimeError for one that can't be sent."""
    lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n".encode()]
    length, closes = -1, False
    for name, value in headers:
        if name == b"content-length":
            if not value.isdigit():
                raise RuntimeError("the Content-Length of the answer is no number")
            length = int(value)
        elif name == b"connection":
            closes = closes or b"close" in value.lower()
            continue
        elif name == b"transfer-encoding":  # how it is framed is decided by who sends it
            continue
        lines.append(b"%b: %b\r\n" % (name, value))
    text = b"".join(lines)
    # Whatever a header was made of, it must not become two (CWE-113).
    if not len(lines) == text.count(b"\n") == text.count(b"\r"):
        raise RuntimeError("a header of the answer has a line break in it")
    head = Head(text, length, closes)
    if len(text) <= MAX_KNOWN_BYTES:
        if len(_KNOWN) >= MAX_KNOWN:
            _KNOWN.clear()
        _KNOWN[status, headers] = head
    return head
