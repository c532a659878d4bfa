"""The end of a connection: closed for writing, but still read, so that the peer receives all that was sent.

Closing a socket with unread bytes resets the connection, and bytes on their way to the peer are lost: especially the
response to a client that is still sending a body that was refused (RFC 9112 §9.6).
"""

import asyncio
import socket
from typing import Final

from authproxy.http.server.connection_limit import Place

# How long it is read: without new bytes, in all, and how many bytes in all. Peers that have finished close at once.
QUIET_S: Final = 2.0
MOST_S: Final = 30.0
MOST_BYTES: Final = 256 * 1024 * 1024

# Bytes that still arrive are read into this and ignored.
_DISCARDED: Final = bytearray(256 * 1024)


class Linger:
    """Ends our side of a connection at once, and closes the socket when the peer has ended its side or time is up."""

    waits_for_client = False  # `connection_limit.Holder`: it makes room like any quiet connection

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: socket.socket, place: Place | None = None) -> None:
        """`place` is freed when the socket is closed."""
        self._loop = loop
        self._socket = connection
        self._place = place or Place()
        self._place.holder = self
        self.quiet_since = loop.time()
        self._received = 0  # bytes
        self._received_before = 0  # when the timer last fired
        self._until = loop.time() + MOST_S
        self._timer: asyncio.TimerHandle | None = None
        try:
            connection.shutdown(socket.SHUT_WR)  # also ends TLS: bytes from now on are not decrypted
        except OSError:  # the peer has disconnected
            self._close()
            return
        loop.add_reader(connection, self._discard)
        self._wait()

    def count_moved(self) -> int | None:
        """See `connection_limit.Holder`."""
        return None

    def evict(self) -> None:
        """See `connection_limit.Holder`."""
        self._close()

    def _discard(self) -> None:
        """Read the bytes of one turn of the loop, and drop them."""
        try:
            count = self._socket.recv_into(_DISCARDED)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            count = 0
        self._received += count
        if not count or self._received > MOST_BYTES:
            self._close()

    def _wait(self) -> None:
        self._timer = self._loop.call_later(QUIET_S, self._look)

    def _look(self) -> None:
        if self._received > self._received_before and self._loop.time() < self._until:
            self._received_before = self._received
            self._wait()
        else:
            self._close()

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._place.free()
