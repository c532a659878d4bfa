"""TCP and TLS below HTTP: bytes in both directions, with back-pressure in both.

An upstream may refuse an upload long before its end (no such repository, too large) and close. A client that sends
first and reads afterwards would block on the full socket, or lose the response with the reset connection. Here the
response is read as it arrives, and ends the sending. Pieces are as large as the socket returns them (256 KiB), and a
connection that ended while it was idle is distinguished from one that broke in the middle.
"""

import asyncio
import math
import select
import ssl
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from authproxy.http.client.errors import (
    BrokeOff,
    ConnectTimedOut,
    TimedOut,
    Unreachable,
    UnsafeRedirect,
    UpstreamError,
    WentStale,
)
from authproxy.http.eager_tasks import complete

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket

# When this many bytes wait here to be read, the socket is not read: two of asyncio's largest reads.
MAX_BUFFERED_BYTES = 512 * 1024

# One read: all connections share the buffer, because a piece is copied out of it before the next read.
_READ_VIEW = memoryview(bytearray(256 * 1024))

# The first digit of a status comes after "HTTP/1.1 ".
_STATUS_AT = 9


class HasAnswered(Exception):
    """Sending more is useless: the upstream has refused, or the connection is lost. Read the response now."""


def refuses(answer: bytes) -> bool:
    """Whether the beginning of a response makes sending the rest of the body pointless.

    Informational responses (RFC 9110 §15.2) come before the final one. A success may be sent before the body has been
    read to its end, so sending continues then.
    """
    while answer[_STATUS_AT : _STATUS_AT + 1] == b"1":
        _, blank_line, answer = answer.partition(b"\r\n\r\n")
        if not blank_line:
            return False
    return len(answer) > _STATUS_AT and answer[_STATUS_AT : _STATUS_AT + 1] != b"2"


class Wire(asyncio.BufferedProtocol):
    """One connection to the upstream. One task reads or writes at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._socket: TransportSocket
        self._is_encrypted = False
        self._poll: select.poll | None = None  # of the socket: made once, used before each request
        self._pieces: deque[bytes] = deque()
        self._buffered = 0
        self._reading_paused = False
        self._writing_paused = False
        self._ended = False  # no more will be read
        self._closed = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._wait_until = math.inf  # for the waiting task, by the loop's clock
        self._timer: asyncio.TimerHandle | None = None  # never fires later than that
        # Whether a request has received any byte decides whether it may be repeated.
        self._requests = 0
        self._has_received = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "ended" if self._ended else "open"
        return f"<Wire {state}, {self._buffered} bytes to read>"

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """The buffer for the next bytes of the socket."""
        del sizehint
        return _READ_VIEW

    def buffer_updated(self, nbytes: int) -> None:
        """Keep a piece; past the limit the socket is not read until the pieces have been taken."""
        self._pieces.append(bytes(_READ_VIEW[:nbytes]))
        self._buffered += nbytes
        if self._buffered >= MAX_BUFFERED_BYTES and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """The upstream sends no more: asyncio may close the connection."""
        self._ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is lost; pieces that were received stay readable."""
        self._ended = self._closed = True
        self._error = exc
        self._drop_timer()
        self._wake()

    def pause_writing(self) -> None:
        """Too many bytes are waiting to be sent."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """The upstream has read enough of them."""
        self._writing_paused = False
        self._wake()

    # Called by HTTP.

    def begin_request(self) -> None:
        """The next write is a request's first. Bytes received before it (a 408 to an idle client) are no response."""
        self._requests += 1
        self._has_received = False
        if self._pieces:
            self._pieces.clear()
            self._ended = True

    async def read(self, timeout: float | None) -> bytes:
        """The next piece as read from the socket, or b"" at the end. Raises TimedOut, BrokeOff, WentStale."""
        if not self._pieces and not self._ended:
            self._set_alarm(timeout)
            while not self._pieces and not self._ended:
                await self._change()
        if self._pieces:
            return self._take()
        if self._requests > 1 and not self._has_received:
            raise WentStale("the connection was closed while it was idle")
        if self._error is not None:
            raise BrokeOff(str(self._error)) from self._error
        return b""

    def send(self, data: bytes | bytearray) -> None:
        """Send a short piece without waiting, even if the upstream is behind. Raises HasAnswered."""
        self._check_sending()
        assert self._transport is not None
        self._transport.write(data)

    async def write(self, data: bytes | bytearray, timeout: float | None) -> None:
        """Send a piece. Waits while the upstream is behind: this is the back-pressure. Raises TimedOut, HasAnswered."""
        self.send(data)
        if self._writing_paused:
            self._set_alarm(timeout)
            while self._writing_paused:
                self._check_sending()
                await self._change()

    # Called by the pool.

    @property
    def peer(self) -> str:
        """The IP address at the other end, "" if the socket has already ended."""
        assert self._transport is not None
        peer = self._transport.get_extra_info("peername")
        return str(peer[0]) if peer else ""

    def is_readable(self) -> bool:
        """Whether an idle connection has ended, or has received bytes without a request."""
        return bool(self._pieces) or self._ended or self._is_socket_readable()

    async def encrypt(self, tls: ssl.SSLContext, host: str) -> None:
        """Begin TLS. If it fails, the connection is closed."""
        assert self._transport is not None
        try:
            encrypted = await asyncio.get_running_loop().start_tls(self._transport, self, tls, server_hostname=host)
        except BaseException:
            self.abort()
            raise
        assert encrypted is not None
        self._is_encrypted = True
        self._transport = encrypted

    def abort(self) -> None:
        """Close at once. Unsent bytes are dropped: their request can't be completed."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self) -> bytes:
        piece = self._pieces.popleft()
        self._buffered -= len(piece)
        self._has_received = True
        if self._reading_paused and not self._pieces and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()
        return piece

    def _check_sending(self) -> None:
        if self._ended:
            raise HasAnswered("the upstream has closed the connection")
        if self._pieces and refuses(b"".join(self._pieces)):
            raise HasAnswered("the upstream has answered before the end of the request")

    def _is_socket_readable(self) -> bool:
        # The event loop may not have noticed it yet.
        if self._poll is None:
            assert self._transport is not None
            self._socket = self._transport.get_extra_info("socket")
            self._poll = select.poll()
            self._poll.register(self._socket, select.POLLIN)
        return self._socket.fileno() < 0 or bool(self._poll.poll(0))

    def _change(self) -> "asyncio.Future[None]":
        """A future that completes at the next event. Raises TimedOut when the alarm fires."""
        self._waiter = self._loop.create_future()
        return self._waiter

    def _wake(self) -> None:
        """Wake the waiting task: at once, except under TLS, which may be in the middle of a step."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        self._waiter = None
        if self._is_encrypted:
            waiter.set_result(None)
        else:
            complete(self._loop, waiter)

    def _set_alarm(self, timeout: float | None) -> None:
        """Limit waiting from now on to `timeout` seconds from now; None: no limit.

        A timer for each wait would be its largest cost: there is one, which is set again when it fires too soon; most
        never fire.
        """
        if timeout is None:
            self._wait_until = math.inf
            return
        self._wait_until = at = self._loop.time() + timeout
        if self._timer is None or at < self._timer.when():
            self._drop_timer()
            self._timer = self._loop.call_at(at, self._check_time)

    def _check_time(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() >= self._wait_until:
            self._waiter.set_exception(TimedOut("the upstream has sent or read nothing in time"))
        elif self._wait_until < math.inf:
            self._timer = self._loop.call_at(self._wait_until, self._check_time)

    def _drop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def open_wire(
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
    timeout: float | None = None,
    may_connect: Callable[[str], bool] | None = None,
) -> Wire:
    """Open a connection, encrypted if `tls` is given: `server_name`, else `host`, is then the name in the certificate.

    `timeout` is for all of it, in seconds. Raises Unreachable (also for an untrusted certificate), ConnectTimedOut, and
    UnsafeRedirect if `may_connect` refuses the peer's IP address, before any byte is sent to it.
    """
    with _timing(ConnectTimedOut):
        try:
            async with asyncio.timeout(timeout):
                # Tries a name's addresses one after the other: asyncio's happy eyeballs lose a socket when they are
                # cancelled.
                _, wire = await asyncio.get_running_loop().create_connection(Wire, host, port)
                if may_connect is not None and not may_connect(wire.peer):
                    wire.abort()
                    raise UnsafeRedirect(f"{host} is at {wire.peer}")
                if tls is not None:
                    await wire.encrypt(tls, server_name or host)
                return wire
        except TimeoutError:
            raise
        except OSError as exc:  # ssl.SSLError is one
            raise Unreachable(str(exc)) from exc


@contextmanager
def _timing(error: type[UpstreamError]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as exc:
        raise error(str(exc)) from exc
