"""The end of a connection: closed for us, and still read, so that the peer gets all that was sent.

Closing a socket that has unread bytes resets the connection, and what is on its way to the peer is lost: above all the
answer to a client that is still sending a body nobody wants (RFC 9112 §9.6).
"""

import asyncio
import socket
from typing import Final

from authproxy.http.server.connection_limit import Place

# How long it is read: while nothing comes, in all, and how many bytes of it. Peers that are done close at once.
QUIET_S: Final = 2.0
MOST_S: Final = 30.0
MOST_BYTES: Final = 256 * 1024 * 1024

# What still comes is read into this and never looked at.
_DISCARDED: Final = bytearray(256 * 1024)


class Linger:
    """Ends our side of a connection at once, and closes the socket when the peer has ended its own, or time is up."""

    waits_for_client = False  # `admission.Holder`: it makes room as any quiet connection does

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: socket.socket, place: Place | None = None) -> None:
        """`place` is freed when the socket is closed."""
        self._loop = loop
        self._socket = connection
        self._place = place or Place()
        self._place.holder = self
        self.quiet_since = loop.time()
        self._came = 0  # bytes
        self._came_before = 0  # the timer last went off
        self._until = loop.time() + MOST_S
        self._timer: asyncio.TimerHandle | None = None
        try:
            connection.shutdown(socket.SHUT_WR)  # TLS ends with it: what comes from now on is not deciphered
        except OSError:  # the peer has gone
            self._close()
            return
        loop.add_reader(connection, self._discard)
        self._wait()

    def count_moved(self) -> int | None:
        """See `admission.Holder`."""
        return None

    def evict(self) -> None:
        """See `admission.Holder`."""
        self._close()

    def _discard(self) -> None:
        """Take a turn's worth of what comes."""
        try:
            count = self._socket.recv_into(_DISCARDED)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            count = 0
        self._came += count
        if not count or self._came > MOST_BYTES:
            self._close()

    def _wait(self) -> None:
        self._timer = self._loop.call_later(QUIET_S, self._look)

    def _look(self) -> None:
        if self._came > self._came_before and self._loop.time() < self._until:
            self._came_before = self._came
            self._wait()
        else:
            self._close()

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._place.free()
