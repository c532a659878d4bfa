"""The server's end of an accepted connection, on the socket itself.

It differs from asyncio's own in its end. A closed connection is still read for a while, so that the peer gets the last
answer; and a peer that takes nothing is not waited for without end.
"""

import asyncio
import contextlib
import socket
import struct
from asyncio.trsock import TransportSocket
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, cast

from authproxy.http.server.connection_limit import Place
from authproxy.http.server.lingering_close import Linger

# What one turn of the event loop reads of one connection, in bytes: others want their turn too.
TURN_BYTES: Final = 1024 * 1024

# Above the first the protocol is paused, below the second it goes on; in bytes.
HIGH_WATER: Final = 64 * 1024
LOW_WATER: Final = 16 * 1024

# How often to look whether the peer takes what is sent, and after how many looks in which it took nothing it is given
# up: fifteen minutes as for a body that doesn't come, one where the connection was to end anyway.
LOOK_S: Final = 60.0
LOOKS_WHEN_OPEN: Final = 15
LOOKS_WHEN_CLOSING: Final = 1

# `struct linger`: on, and nothing is waited for.
_RESET: Final = struct.pack("ii", 1, 0)

# `struct tcp_info` of linux/tcp.h: where `tcpi_bytes_acked` and `tcpi_bytes_received` stand in it.
_TCP_INFO: Final = struct.Struct("=120xQQ")


class SocketTransport(asyncio.Transport):
    """A connection over TCP or a Unix socket. The protocol is one that brings its own buffers.

    The protocol hears `connection_made` once, and `connection_lost` once after it.
    """

    # What the socket raises where it would have to wait.
    WANTS: ClassVar[tuple[type[OSError], ...]] = (BlockingIOError, InterruptedError)

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: socket.socket,
        protocol: asyncio.BufferedProtocol,
        *,
        peer: object,
        on_end: Callable[["SocketTransport"], None],
        about: Mapping[str, Any] | None = None,
        place: Place | None = None,
    ) -> None:
        """`peer`: its address. `on_end` is called when the protocol has been told. `about`: see `get_extra_info`.

        `place` is freed when the socket is closed.
        """
        if connection.family != socket.AF_UNIX:
            # Answers are written in one go: to wait for more to send would only delay them.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        here = {"socket": TransportSocket(connection), "sockname": connection.getsockname(), "peername": peer}
        super().__init__({**here, **(about or {})})
        self._loop = loop
        self._socket = connection
        self._descriptor = connection.fileno()
        self._protocol: asyncio.BufferedProtocol | None = protocol
        self._on_end = on_end
        self._place = place or Place()
        self._place.holder = self
        self._accepted_at = loop.time()
        self._unsent: deque[bytes | bytearray | memoryview] = deque()
        self._unsent_bytes = 0
        self._is_open = False  # the protocol knows the connection
        self._is_closing = False
        self._is_reading = False
        self._has_paused_protocol = False
        self._reads = 0  # since something was written: a long body takes many
        self._has_moved = False  # bytes went out, since the timer last went off
        self._looks = 0  # in which they did not
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        state = "closing" if self._is_closing else "open" if self._is_open else "opening"
        return f"<{type(self).__name__} {state}, {self._unsent_bytes} bytes unsent>"

    def begin(self) -> None:
        """Tell the protocol, and read."""
        self._is_open = True
        assert self._protocol is not None
        try:
            self._protocol.connection_made(self)
        except Exception as error:  # noqa: BLE001 - whatever it is, the connection is of no use
            self._fail(error)
        self.resume_reading()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, or keep what can't be sent yet: it must not change until it is. Dropped once `close` was called."""
        if self._is_closing or not data:
            return
        self._reads = 0
        if not self._unsent:
            try:
                sent = self._send(data)
            except self.WANTS:
                sent = 0
            except OSError as error:
                self._break(error)
                return
            if sent == len(data):
                return
            data = memoryview(data)[sent:] if sent else data
            self._loop.add_writer(self._descriptor, self._send_on)
            if self._timer is None:
                self._look_later()
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if self._unsent_bytes > HIGH_WATER and not self._has_paused_protocol:
            self._has_paused_protocol = True
            assert self._protocol is not None
            self._protocol.pause_writing()

    def close(self) -> None:
        """Send what is unsent, then end."""
        if self._is_closing:
            return
        if not self._is_open:
            self._break(None)
            return
        self._is_closing = True
        self.pause_reading()
        if self._unsent:
            self._look_later()
        else:
            self._loop.call_soon(self._end, None)

    def abort(self) -> None:
        """End now, in a way that the peer can't take for a good end: the connection is reset."""
        if self._protocol is not None:
            with contextlib.suppress(OSError):  # it may have gone
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
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
            if self._pending():
                self._loop.call_soon(self._read)

    def is_reading(self) -> bool:
        """Whether bytes are taken from the socket."""
        return self._is_reading

    def get_write_buffer_size(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._unsent_bytes

    def can_write_eof(self) -> bool:
        """HTTP has no use for half of a connection."""
        return False

    @property
    def quiet_since(self) -> float | None:
        """See `admission.Holder`."""
        if not self._is_open:
            return self._accepted_at
        # What is no connection of HTTP is never quiet.
        return None if self._unsent else getattr(self._protocol, "quiet_since", None)

    @property
    def waits_for_client(self) -> bool:
        """See `admission.Holder`."""
        return bool(self._unsent) or getattr(self._protocol, "waits_for_client", False)

    def count_moved(self) -> int | None:
        """See `admission.Holder`."""
        try:
            told = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        except (AttributeError, OSError):  # a Unix socket, or another system than Linux
            return None
        return sum(_TCP_INFO.unpack(told)) if len(told) == _TCP_INFO.size else None

    def evict(self) -> None:
        """See `admission.Holder`. An answer that is under way is reset, one that is complete still arrives."""
        if self.quiet_since is None:
            self.abort()
        self._break(None)
        self._end(ConnectionResetError("the connection made room for another"))

    def _fill(self, room: memoryview) -> tuple[int, bool, bool]:
        """How many bytes came into the room, whether the socket has no more, and whether the peer has ended."""
        try:
            count = self._socket.recv_into(room)
        except self.WANTS:
            return 0, True, False
        return count, count < len(room), count == 0

    def _send(self, data: bytes | bytearray | memoryview) -> int:
        """How many of the bytes the kernel has taken."""
        return self._socket.send(data)

    def _say_goodbye(self) -> None:
        """Send what ends the connection in good order; TCP has its own."""

    def _pending(self) -> int:
        """Bytes that were read and are not handed over: the socket does not tell of them again."""
        return 0

    def _read(self) -> None:
        """Take what is there, at most a turn's worth."""
        self._reads += 1
        left, is_drained, has_ended = TURN_BYTES, False, False
        try:
            while self._is_reading and left > 0 and not is_drained:
                assert self._protocol is not None
                room = cast("memoryview", self._protocol.get_buffer(-1))
                try:
                    count, is_drained, has_ended = self._fill(room)
                except OSError as error:
                    self._break(error)
                    return
                left -= count
                if count:
                    self._protocol.buffer_updated(count)
            if has_ended and self._protocol is not None:
                self._protocol.eof_received()
                self.close()
        except Exception as error:  # noqa: BLE001 - what the protocol can't read on it can't read later either
            self._fail(error)
        if self._is_reading and left <= 0 and self._pending():
            self._loop.call_soon(self._read)

    def _send_on(self) -> None:
        """Send until all is sent or the kernel takes no more."""
        self._has_moved = True
        try:
            while self._unsent:
                data = self._unsent[0]
                sent = self._send(data)
                self._unsent_bytes -= sent
                if sent == len(data):
                    self._unsent.popleft()
                else:
                    self._unsent[0] = memoryview(data)[sent:]
        except self.WANTS:
            pass
        except OSError as error:
            self._break(error)
            return
        if not self._unsent:
            self._loop.remove_writer(self._descriptor)
            if self._is_closing:
                self._end(None)
                return
        if self._has_paused_protocol and self._unsent_bytes <= LOW_WATER and self._protocol is not None:
            self._has_paused_protocol = False
            self._protocol.resume_writing()

    def _look_later(self) -> None:
        self._stop_timer()
        self._has_moved, self._looks = False, 0
        self._timer = self._loop.call_later(LOOK_S, self._look)

    def _look(self) -> None:
        """Whether the peer takes what is sent."""
        self._timer = None
        if not self._unsent:
            return
        self._looks = 0 if self._has_moved else self._looks + 1
        self._has_moved = False
        if self._looks >= (LOOKS_WHEN_CLOSING if self._is_closing else LOOKS_WHEN_OPEN):
            self._break(TimeoutError("the peer takes nothing"))
        else:
            self._timer = self._loop.call_later(LOOK_S, self._look)

    def _fail(self, error: Exception) -> None:
        """The protocol has raised, which is a fault of ours."""
        context = {"message": "a connection broke off", "exception": error, "transport": self}
        self._loop.call_exception_handler(context)
        self._break(None)

    def _break(self, error: OSError | None) -> None:
        """The connection is of no use any more."""
        if self._protocol is None:
            return
        self._is_closing = True
        self._stop_watching()
        self._unsent.clear()
        self._unsent_bytes = 0
        self._loop.call_soon(self._end, error or ConnectionResetError("the connection has ended"))

    def _end(self, error: OSError | None) -> None:
        """Tell the protocol; without an error the socket lingers, so that the peer gets all that was sent."""
        protocol, self._protocol = self._protocol, None
        if protocol is None:
            return
        self._stop_watching()
        try:
            if self._is_open:
                protocol.connection_lost(error)
        finally:
            self._on_end(self)
            if error is None:
                self._say_goodbye()
                Linger(self._loop, self._socket, self._place)
            else:
                self._socket.close()
                self._place.free()

    def _stop_watching(self) -> None:
        self._is_reading = False
        self._stop_timer()
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
