"""Waits on an accepted socket for the PROXY protocol's preamble, and takes no byte of what follows it."""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

import structlog

from authproxy.http.server.connection_limit import Place
from authproxy.http.server.proxy_protocol import MAX_BINARY_BYTES, parse_preamble

log = structlog.get_logger(__name__)

# §2 of the specification: a proxy sends it at once, and all in one piece. It wants at least three seconds.
WITHIN_S: Final = 5.0


class AwaitPreamble:
    """Calls `go_on` with whom the connection is from, once; where no preamble comes the socket is closed."""

    waits_for_client = False  # `admission.Holder`: until the preamble is there it is quiet

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: socket.socket,
        peer: object,
        go_on: Callable[[object], None],
        place: Place | None = None,
    ) -> None:
        """`peer`: the proxy's address. `place` is freed where no preamble comes."""
        self._loop = loop
        self._socket = connection
        self._peer = peer
        self._go_on = go_on
        self._read = b""  # of the preamble; only all of it is not
        self._place = place or Place()
        self._place.holder = self
        self.quiet_since = loop.time()
        self._timer = loop.call_later(WITHIN_S, self._give_up, "it did not come in time")

    def begin(self) -> None:
        """Look now, and whenever something comes."""
        self._loop.add_reader(self._socket.fileno(), self._look)
        self._look()

    def count_moved(self) -> int | None:
        """See `admission.Holder`."""
        return None

    def evict(self) -> None:
        """See `admission.Holder`."""
        self._stop()
        self._socket.close()

    def _look(self) -> None:
        try:
            came = self._socket.recv(MAX_BINARY_BYTES - len(self._read), socket.MSG_PEEK)
            if not came:
                self._give_up("the connection ended before it")
                return
            preamble = parse_preamble(self._read + came)
            # Of a preamble that goes on all that came is a part.
            self._socket.recv(len(came) if preamble is None else preamble.length - len(self._read))
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, ValueError) as error:
            self._give_up(str(error))
            return
        self._read += came
        if preamble is not None:
            self._stop()
            self._go_on(preamble.client or self._peer)

    def _give_up(self, reason: str) -> None:
        log.info("no PROXY preamble", peer=self._peer, reason=reason)
        self.evict()
        self._place.free()

    def _stop(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._socket.fileno())
