"""The server's end of an accepted connection, on the socket itself.

It differs from asyncio's own in how it ends. A closed connection is still read for a while, so that the peer receives
the last response; and the wait for a peer that reads nothing is limited.
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

# The most that one turn of the event loop reads from one connection, in bytes: others need their turn too.
TURN_BYTES: Final = 1024 * 1024

# Above the first the protocol is paused, below the second it is resumed; in bytes.
HIGH_WATER: Final = 64 * 1024
LOW_WATER: Final = 16 * 1024

# How often to check that the peer reads what is sent, and after how many checks without progress to give it up: after
# fifteen minutes, as for a body that doesn't arrive; after one if the connection is closing anyway.
LOOK_S: Final = 60.0
LOOKS_WHEN_OPEN: Final = 15
LOOKS_WHEN_CLOSING: Final = 1

# `struct linger`: on, with no time to wait.
_RESET: Final = struct.pack("ii", 1, 0)

# `struct tcp_info` of linux/tcp.h: the offsets of `tcpi_bytes_acked` and `tcpi_bytes_received`.
_TCP_INFO: Final = struct.Struct("=120xQQ")


class SocketTransport(asyncio.Transport):
    """A connection over TCP or a Unix socket, for a protocol with its own buffers.

    It calls the protocol's `connection_made` once, and `connection_lost` once after it.
    """

    # The errors of a socket that would have to wait.
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
        """`peer`: its address. `on_end` is called after `connection_lost`. `about`: see `get_extra_info`.

        `place` is freed when the socket is closed.
        """
        if connection.family != socket.AF_UNIX:
            # Responses are written at once: waiting for more would only delay them.
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
        self._reads = 0  # since the last write: a long body takes many
        self._has_moved = False  # bytes were sent, since the timer last fired
        self._looks = 0  # without any
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        state = "closing" if self._is_closing else "open" if self._is_open else "opening"
        return f"<{type(self).__name__} {state}, {self._unsent_bytes} bytes unsent>"

    def begin(self) -> None:
        """Call `connection_made`, and begin to read."""
        self._is_open = True
        assert self._protocol is not None
        try:
            self._protocol.connection_made(self)
        except Exception as error:  # noqa: BLE001 - after any error the connection is unusable
            self._fail(error)
        self.resume_reading()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, or keep what can't be sent yet, which must not change until then. Dropped after `close`."""
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
        """Send the unsent bytes, then end."""
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
        """End now with a reset, which the peer can't mistake for a regular end."""
        if self._protocol is not None:
            with contextlib.suppress(OSError):  # it may have disconnected
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._break(None)

    def is_closing(self) -> bool:
        """Whether no more may be written."""
        return self._is_closing

    def pause_reading(self) -> None:
        """Stop reading from the socket."""
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._descriptor)

    def resume_reading(self) -> None:
        """Read from the socket again."""
        if self._is_open and not self._is_closing and not self._is_reading:
            self._is_reading = True
            self._loop.add_reader(self._descriptor, self._read)
            if self._pending():
                self._loop.call_soon(self._read)

    def is_reading(self) -> bool:
        """Whether the socket is being read."""
        return self._is_reading

    def get_write_buffer_size(self) -> int:
        """Bytes that the kernel has not accepted yet."""
        return self._unsent_bytes

    def can_write_eof(self) -> bool:
        """False: HTTP has no use for a half-closed connection."""
        return False

    @property
    def quiet_since(self) -> float | None:
        """See `connection_limit.Holder`."""
        if not self._is_open:
            return self._accepted_at
        # A connection of another protocol than HTTP is never quiet.
        return None if self._unsent else getattr(self._protocol, "quiet_since", None)

    @property
    def waits_for_client(self) -> bool:
        """See `connection_limit.Holder`."""
        return bool(self._unsent) or getattr(self._protocol, "waits_for_client", False)

    def count_moved(self) -> int | None:
        """See `connection_limit.Holder`."""
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        except (AttributeError, OSError):  # a Unix socket, or another system than Linux
            return None
        return sum(_TCP_INFO.unpack(info)) if len(info) == _TCP_INFO.size else None

    def evict(self) -> None:
        """See `connection_limit.Holder`. An incomplete response is reset, a complete one still arrives."""
        if self.quiet_since is None:
            self.abort()
        self._break(None)
        self._end(ConnectionResetError("the connection was closed to make room for another"))

    def _fill(self, room: memoryview) -> tuple[int, bool, bool]:
        """Read into `room`: the number of bytes, whether the socket has no more, and whether the peer has ended."""
        try:
            count = self._socket.recv_into(room)
        except self.WANTS:
            return 0, True, False
        return count, count < len(room), count == 0

    def _send(self, data: bytes | bytearray | memoryview) -> int:
        """Send, and return how many of the bytes the kernel has accepted."""
        return self._socket.send(data)

    def _say_goodbye(self) -> None:
        """Send the protocol's end of a connection, if it has one above TCP."""

    def _pending(self) -> int:
        """Bytes that TLS has read and not returned: the socket does not become readable for them."""
        return 0

    def _read(self) -> None:
        """Read the available bytes, at most TURN_BYTES."""
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
        except Exception as error:  # noqa: BLE001 - after any error the protocol can't continue later either
            self._fail(error)
        if self._is_reading and left <= 0 and self._pending():
            self._loop.call_soon(self._read)

    def _send_on(self) -> None:
        """Send until all is sent or the kernel accepts no more."""
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
        """Check that the peer reads what is sent."""
        self._timer = None
        if not self._unsent:
            return
        self._looks = 0 if self._has_moved else self._looks + 1
        self._has_moved = False
        if self._looks >= (LOOKS_WHEN_CLOSING if self._is_closing else LOOKS_WHEN_OPEN):
            self._break(TimeoutError("the peer reads nothing"))
        else:
            self._timer = self._loop.call_later(LOOK_S, self._look)

    def _fail(self, error: Exception) -> None:
        """The protocol has raised an exception, which is our fault."""
        context = {"message": "a connection broke off", "exception": error, "transport": self}
        self._loop.call_exception_handler(context)
        self._break(None)

    def _break(self, error: OSError | None) -> None:
        """The connection can't be used any more."""
        if self._protocol is None:
            return
        self._is_closing = True
        self._stop_watching()
        self._unsent.clear()
        self._unsent_bytes = 0
        self._loop.call_soon(self._end, error or ConnectionResetError("the connection has ended"))

    def _end(self, error: OSError | None) -> None:
        """Call `connection_lost`; without an error the socket lingers, so that the peer receives all that was sent."""
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
