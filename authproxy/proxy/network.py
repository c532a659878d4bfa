"""TCP and TLS under httpcore: what its own network layer can't do and a proxy needs.

An upstream may refuse an upload long before its end (no such repository, too large) and close. httpcore sends first
and reads afterwards, so its own layer would block on the full socket, or lose the answer with the reset connection.
Here the answer is read as it comes, and ends the sending. Pieces are as large as the socket gives them (256 KiB)
instead of 64 KiB, and a connection that died while it was idle is told from one that broke in the middle.
See docs/decisions/0010-stream-through-httpx-over-own-sockets.md.
"""

import asyncio
import select
import ssl
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpcore

if TYPE_CHECKING:
    from collections.abc import Iterator

# What may wait here to be read, over which the socket is not read: two of asyncio's largest reads.
MAX_BUFFERED_BYTES = 512 * 1024

# "HTTP/1.1 " stands before the first digit of a status.
_STATUS_AT = 9


class WentStale(httpcore.ReadError):
    """An idle connection that the upstream had given up: it closed without a byte of an answer to a later request."""


def refuses(answer: bytes) -> bool:
    """Whether what has been read of an answer makes sending the rest of the body pointless.

    Informational answers (RFC 9110 §15.2) come before the real one. A success may be said before the body has been
    read to its end, so then sending goes on.
    """
    while answer[_STATUS_AT : _STATUS_AT + 1] == b"1":
        _, blank_line, answer = answer.partition(b"\r\n\r\n")
        if not blank_line:
            return False
    return len(answer) > _STATUS_AT and answer[_STATUS_AT : _STATUS_AT + 1] != b"2"


class Wire(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """One connection to the upstream. One task reads or writes at a time, as httpcore does."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._pieces: deque[bytes] = deque()
        self._buffered = 0
        self._reading_paused = False
        self._writing_paused = False
        self._ended = False  # no more will be read
        self._closed = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        # A write after a read begins the next request: what a request has heard decides whether it may be repeated.
        self._has_read = False
        self._is_reused = False
        self._has_heard = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "ended" if self._ended else "open"
        return f"<Wire {state}, {self._buffered} bytes to read>"

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep a piece; past the bound the socket is left alone until it has been read."""
        self._pieces.append(data)
        self._buffered += len(data)
        if self._buffered >= MAX_BUFFERED_BYTES and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """The upstream will say no more: as it answers or not, asyncio may close."""
        self._ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; what was read before stays readable."""
        self._ended = self._closed = True
        self._error = exc
        self._wake()

    def pause_writing(self) -> None:
        """More is waiting to be sent than should."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """The upstream has taken enough."""
        self._writing_paused = False
        self._wake()

    # What httpcore calls.

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The next piece as the socket gave it, or b"" at the end.

        `max_bytes` is httpcore's wish for one system call; its parser takes pieces of any length, and fewer large
        ones cost less. Raises httpcore.ReadTimeout, ReadError, WentStale.
        """
        del max_bytes
        self._has_read = True
        if not self._pieces and not self._ended:
            with _timing(httpcore.ReadTimeout):
                async with asyncio.timeout(timeout):
                    while not self._pieces and not self._ended:
                        await self._change()
        if self._pieces:
            return self._take()
        if self._is_reused and not self._has_heard:
            raise WentStale("the connection was closed while it was idle")
        if self._error is not None:
            raise httpcore.ReadError(str(self._error)) from self._error
        return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send a piece. Waits while the upstream is behind: this is the back-pressure.

        Raises httpcore.WriteTimeout, and WriteError where the connection is gone or the upstream has refused
        already: httpcore then goes on to read the answer.
        """
        if self._has_read:
            self._has_read, self._has_heard, self._is_reused = False, False, True
            self._refuse_unasked()
        self._check_sending()
        assert self._transport is not None
        self._transport.write(buffer)
        if self._writing_paused:
            with _timing(httpcore.WriteTimeout):
                async with asyncio.timeout(timeout):
                    while self._writing_paused:
                        self._check_sending()
                        await self._change()

    async def aclose(self) -> None:
        """Close at once."""
        self.abort()

    def get_extra_info(self, info: str) -> Any:
        """`is_readable`, by which httpcore tells a dead idle connection; else what asyncio's transport knows."""
        if info == "is_readable":
            return bool(self._pieces) or self._ended or self._is_socket_readable()
        return None if self._transport is None else self._transport.get_extra_info(info)

    # What the pool calls.

    async def encrypt(self, tls: ssl.SSLContext, host: str) -> None:
        """Begin TLS. Where it fails the connection is closed."""
        assert self._transport is not None
        try:
            encrypted = await asyncio.get_running_loop().start_tls(self._transport, self, tls, server_hostname=host)
        except BaseException:
            self.abort()
            raise
        assert encrypted is not None
        self._transport = encrypted

    def abort(self) -> None:
        """Close at once. What is unsent is dropped: it belongs to a request that has no end any more."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self) -> bytes:
        piece = self._pieces.popleft()
        self._buffered -= len(piece)
        self._has_heard = True
        if self._reading_paused and not self._pieces and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()
        return piece

    def _refuse_unasked(self) -> None:
        # What came between two requests (a 408 to an idle client, a body after HEAD) is no answer to the second.
        if self._pieces:
            self._pieces.clear()
            self._ended = True

    def _check_sending(self) -> None:
        if self._ended:
            raise httpcore.WriteError("the upstream has closed the connection")
        if self._pieces and refuses(b"".join(self._pieces)):
            raise httpcore.WriteError("the upstream has answered before the end of the request")

    def _is_socket_readable(self) -> bool:
        # The event loop may not have come to it yet.
        socket = self.get_extra_info("socket")
        if socket is None or socket.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(socket.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    async def _change(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def open_wire(host: str, port: int, *, tls: ssl.SSLContext | None = None, timeout: float | None = None) -> Wire:
    """A connection, encrypted if `tls` is given: `host` is then the name in the certificate.

    `timeout` is for all of it, in seconds. Raises httpcore.ConnectError (the certificate's fault, too), ConnectTimeout.
    """
    with _timing(httpcore.ConnectTimeout), _naming(httpcore.ConnectError):
        async with asyncio.timeout(timeout):
            # A name's addresses one after the other: asyncio's happy eyeballs lose a socket where they are cancelled.
            _, wire = await asyncio.get_running_loop().create_connection(Wire, host, port)
            if tls is not None:
                await wire.encrypt(tls, host)
            return wire


@contextmanager
def _timing(error: type[httpcore.TimeoutException]) -> "Iterator[None]":
    try:
        yield
    except TimeoutError as exc:
        raise error(str(exc)) from exc


@contextmanager
def _naming(error: type[httpcore.NetworkError]) -> "Iterator[None]":
    try:
        yield
    except TimeoutError:
        raise
    except OSError as exc:  # ssl.SSLError is one
        raise error(str(exc)) from exc
