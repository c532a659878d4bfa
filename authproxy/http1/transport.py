"""TLS on the socket itself, for accepted connections.

asyncio's own TLS moves every byte through two buffers in memory, and each end of a connection through a state machine;
here OpenSSL reads from the socket and writes to it. See
docs/decisions/0014-run-http-on-a-connection-of-our-own.md for what it brings.
"""

import asyncio
import contextlib
import socket
import ssl
from asyncio.trsock import TransportSocket
from collections import deque
from typing import Any, Final, cast

# What one turn of the event loop reads of one connection, in bytes: others want their turn too.
TURN_BYTES: Final = 1024 * 1024

# A record of TLS holds at most this much (RFC 8446 §5.1); OpenSSL hands out one at a time.
RECORD_BYTES: Final = 16 * 1024

HANDSHAKE_WITHIN_S: Final = 60.0

# How long a closed connection is still read, so that the peer gets the end of the answer: closing a socket with
# unread bytes resets the connection, and what was on its way to the peer is lost.
LINGER_S: Final = 1.0

# Above the first the protocol is paused, below the second it goes on; in bytes.
HIGH_WATER: Final = 64 * 1024
LOW_WATER: Final = 16 * 1024

_WANTS = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class TlsTransport(asyncio.Transport):
    """The server's end of one TLS connection. The protocol is one that brings its own buffers."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: socket.socket,
        protocol: asyncio.BufferedProtocol,
        context: ssl.SSLContext,
        *,
        waiter: "asyncio.Future[None] | None" = None,
        server: Any = None,
    ) -> None:
        """Begin with the handshake. `waiter` learns how it ends; `server` is asyncio's, which counts connections."""
        # Answers are written in one go: to wait for more to send would only delay them.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tls = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        super().__init__(
            {
                "socket": TransportSocket(self._tls),
                "sockname": self._tls.getsockname(),
                "peername": self._tls.getpeername(),
                "sslcontext": context,
                "ssl_object": self._tls,
            }
        )
        self._loop = loop
        self._descriptor = self._tls.fileno()
        self._protocol: asyncio.BufferedProtocol | None = protocol
        self._waiter = waiter
        self._server = server
        self._unsent: deque[bytes | bytearray | memoryview] = deque()
        self._unsent_bytes = 0
        self._is_open = False  # the handshake is over, and the protocol knows the connection
        self._is_closing = False
        self._is_reading = False
        self._has_paused_protocol = False
        self._turns = 0  # of reading, since something was written: a long body takes many
        self._timer = loop.call_later(HANDSHAKE_WITHIN_S, self.abort)
        if server is not None:
            server._attach()  # noqa: SLF001 - as every transport of asyncio does
        self._shake_hands()

    def __repr__(self) -> str:
        state = "closing" if self._is_closing else "open" if self._is_open else "shaking hands"
        return f"<TlsTransport {state}, {self._unsent_bytes} bytes unsent>"

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, or keep what can't be sent yet: it must not change until it is."""
        if self._protocol is None or not data:
            return
        self._turns = 0
        if not self._unsent:
            try:
                sent = self._tls.send(data)
            except _WANTS:
                sent = 0
            except OSError as error:
                self._break(error)
                return
            if sent == len(data):
                return
            data = memoryview(data)[sent:] if sent else data
            self._loop.add_writer(self._descriptor, self._send_on)
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if self._unsent_bytes > HIGH_WATER and not self._has_paused_protocol:
            self._has_paused_protocol = True
            self._protocol.pause_writing()

    def close(self) -> None:
        """Send what is unsent, then end."""
        if self._is_closing:
            return
        self._is_closing = True
        self.pause_reading()
        if not self._unsent:
            self._loop.call_soon(self._end, None)

    def abort(self) -> None:
        """End now."""
        self._break(None)

    def is_closing(self) -> bool:
        """Nothing more may be written."""
        return self._is_closing

    def pause_reading(self) -> None:
        """Let the peer wait."""
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._descriptor)

    def resume_reading(self) -> None:
        """Go on."""
        if self._is_open and not self._is_closing and not self._is_reading:
            self._is_reading = True
            self._loop.add_reader(self._descriptor, self._read)

    def is_reading(self) -> bool:
        """Whether bytes are taken from the socket."""
        return self._is_reading

    def get_write_buffer_size(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._unsent_bytes

    def can_write_eof(self) -> bool:
        """TLS has no half of a connection."""
        return False

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._loop.remove_writer(self._descriptor)
            self._loop.add_reader(self._descriptor, self._shake_hands)
            return
        except ssl.SSLWantWriteError:
            self._loop.add_writer(self._descriptor, self._shake_hands)
            return
        except OSError as error:  # what the peer speaks is no TLS, or it knows no cipher of ours, or it has gone
            self._break(error)
            return
        self._timer.cancel()
        self._loop.remove_writer(self._descriptor)
        self._is_open = True
        assert self._protocol is not None
        self._protocol.connection_made(self)
        self._tell_waiter(None)
        self.resume_reading()

    def _read(self) -> None:
        """Take what is there, at most a turn's worth."""
        assert self._protocol is not None
        left, is_drained = TURN_BYTES, False
        self._turns += 1
        while self._is_reading and left > 0 and not is_drained:
            room = cast("memoryview", self._protocol.get_buffer(-1))
            try:
                count, is_drained, has_ended = self._fill(room)
            except OSError as error:
                self._break(error)
                return
            left -= count
            if count:
                self._protocol.buffer_updated(count)
            if has_ended:
                self._break(None)

    def _fill(self, room: memoryview) -> tuple[int, bool, bool]:
        """How many bytes came into the room, whether the socket has no more, and whether the peer has ended."""
        count, size = 0, len(room)
        try:
            while count < size:
                got = self._tls.recv_into(room[count:] if count else room)
                if got == 0:
                    return count, True, True
                count += got
                # Less than a record of a long body: very likely a whole request. To ask for more would cost a system
                # call and an exception; if there is more after all, the next turn brings it.
                if got < RECORD_BYTES and self._turns == 1 and not self._tls.pending():
                    return count, True, False
        except _WANTS:
            return count, True, False
        return count, False, False

    def _send_on(self) -> None:
        """Send until all is sent or the kernel takes no more. OpenSSL wants the same bytes offered again then."""
        try:
            while self._unsent:
                data = self._unsent[0]
                sent = self._tls.send(data)
                self._unsent_bytes -= sent
                if sent == len(data):
                    self._unsent.popleft()
                else:
                    self._unsent[0] = memoryview(data)[sent:]
        except _WANTS:
            pass
        except OSError as error:
            self._break(error)
            return
        if self._has_paused_protocol and self._unsent_bytes <= LOW_WATER and self._protocol is not None:
            self._has_paused_protocol = False
            self._protocol.resume_writing()
        if not self._unsent:
            self._loop.remove_writer(self._descriptor)
            if self._is_closing:
                self._end(None)

    def _break(self, error: OSError | None) -> None:
        """The connection is of no use any more."""
        if self._protocol is None:
            return
        self._is_closing = True
        self._unsent.clear()
        self._unsent_bytes = 0
        self._is_reading = False
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        self._loop.call_soon(self._end, error or ConnectionResetError("the connection has ended"))

    def _end(self, error: OSError | None) -> None:
        """Tell the protocol; without an error the socket lingers, so that the peer gets all that was sent."""
        protocol, self._protocol = self._protocol, None
        if protocol is None:
            return
        self._timer.cancel()
        self._tell_waiter(error)
        if self._is_open:
            protocol.connection_lost(error)
        if self._server is not None:
            self._server._detach()  # noqa: SLF001 - as every transport of asyncio does
            self._server = None
        if error is not None:
            self._tls.close()
            return
        with contextlib.suppress(OSError, ValueError):
            self._tls.unwrap()  # TLS's own end (RFC 8446 §6.1); nobody waits for the peer's
        try:
            self._tls.shutdown(socket.SHUT_WR)
        except OSError:
            self._tls.close()
            return
        self._timer = self._loop.call_later(LINGER_S, self._let_go)
        self._loop.add_reader(self._descriptor, self._discard)

    def _discard(self) -> None:
        """Take what the peer still sends, a turn's worth at a time, until it ends too."""
        try:
            if self._tls.recv(TURN_BYTES):
                return
        except (BlockingIOError, *_WANTS):
            return
        except OSError:
            pass
        self._let_go()

    def _let_go(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._descriptor)
        self._tls.close()

    def _tell_waiter(self, error: OSError | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            if error is None:
                self._waiter.set_result(None)
            else:
                self._waiter.set_exception(error)
        self._waiter = None
