"""The PROXY protocol, versions 1 and 2: a proxy begins each connection with a preamble that names its client.

The specification is haproxy's doc/proxy-protocol.txt; section numbers refer to it.
"""

import asyncio
import ipaddress
import re
import socket
import struct
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import structlog

from authproxy.http.server.connection_limit import Place

log = structlog.get_logger(__name__)

# The time limit for the preamble. §2: a proxy sends it at once and in one piece; the limit is at least three seconds.
WITHIN_S: Final = 5.0

# A peer as in `socket.getpeername`: host and port; for IPv6 also flow and zone.
Peer: TypeAlias = tuple[str, int] | tuple[str, int, int, int]

# §2.1: a line of at most 107 characters, its end included. Both ports are decimal, without leading zeros.
MAX_LINE_BYTES: Final = 107
_LINE: Final = re.compile(
    rb"PROXY (?:UNKNOWN[^\r\n]*"
    rb"|TCP([46]) ([0-9A-Fa-f:.]+) [0-9A-Fa-f:.]+ (0|[1-9][0-9]{0,4}) (?:0|[1-9][0-9]{0,4}))\r\n"
)

# §2.2: the signature, then version and command, family and transport, and the length of the rest: addresses, and
# additions that are ignored here, of which proxies send a few hundred bytes.
_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED: Final = struct.Struct("!12sBBH")
MAX_BINARY_BYTES: Final = 4096
_LOCAL, _PROXY = 0x20, 0x21
_TCP4: Final = (0x11, struct.Struct("!4s4sHH"), socket.AF_INET)
_TCP6: Final = (0x21, struct.Struct("!16s16sHH"), socket.AF_INET6)

_LAST_PORT: Final = 65_535


class Preamble(NamedTuple):
    """A parsed preamble."""

    length: int  # of the whole preamble, in bytes
    client: Peer | None  # None: the connection is the proxy's own (a health check), or it does not know the client


def parse_preamble(data: bytes) -> Preamble | None:
    """Parse the preamble at the beginning of a connection's bytes. None: it is incomplete.

    Raises ValueError for anything but a preamble.
    """
    if data.startswith(_SIGNATURE[: len(data)]):
        return _parse_binary(data)
    if data.startswith(b"PROXY "[: len(data)]):
        return _parse_line(data)
    raise ValueError("it begins with neither version of the PROXY protocol")


def _parse_line(data: bytes) -> Preamble | None:
    end = data.find(b"\r\n", 0, MAX_LINE_BYTES)
    if end < 0:
        if len(data) >= MAX_LINE_BYTES:
            raise ValueError("its line does not end")
        return None
    match = _LINE.fullmatch(data, 0, end + 2)
    if match is None:
        raise ValueError("its line is malformed")
    if match[1] is None:
        return Preamble(end + 2, None)
    address, port = ipaddress.ip_address(match[2].decode("ascii")), int(match[3])
    if str(address.version) != match[1].decode("ascii") or port > _LAST_PORT:
        raise ValueError("its address has another family, or its port is too large")
    return Preamble(end + 2, _peer(str(address), port, is_ipv6=address.version == 6))  # noqa: PLR2004 - of IP


def _parse_binary(data: bytes) -> Preamble | None:
    if len(data) < _FIXED.size:
        return None
    _, command, family, length = _FIXED.unpack_from(data)
    total = _FIXED.size + length
    if command not in (_LOCAL, _PROXY) or total > MAX_BINARY_BYTES:
        raise ValueError("its version or command is unknown, or it is too long")
    if len(data) < total:
        return None
    if command == _PROXY:
        for number, layout, kind in (_TCP4, _TCP6):
            if family == number:
                if length < layout.size:
                    raise ValueError("its addresses are cut off")
                source, _, port, _ = layout.unpack_from(data, _FIXED.size)
                return Preamble(total, _peer(socket.inet_ntop(kind, source), port, is_ipv6=kind == socket.AF_INET6))
    return Preamble(total, None)  # §2.2: for an unknown family, the connection's own addresses count


def _peer(host: str, port: int, *, is_ipv6: bool) -> Peer:
    return (host, port, 0, 0) if is_ipv6 else (host, port)


class AwaitPreamble:
    """Waits on an accepted socket for the preamble, and reads no byte after it.

    Calls `go_on` once, with the client's address; without a preamble it closes the socket.
    """

    waits_for_client = False  # `connection_limit.Holder`: it is quiet until the preamble has arrived

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: socket.socket,
        peer: object,
        go_on: Callable[[object], None],
        place: Place | None = None,
    ) -> None:
        """`peer`: the proxy's address. `place` is freed if no preamble arrives."""
        self._loop = loop
        self._socket = connection
        self._peer = peer
        self._go_on = go_on
        self._read = b""  # a part of the preamble
        self._place = place or Place()
        self._place.holder = self
        self.quiet_since = loop.time()
        self._timer = loop.call_later(WITHIN_S, self._give_up, "it did not arrive in time")

    def begin(self) -> None:
        """Read now, and whenever bytes arrive."""
        self._loop.add_reader(self._socket.fileno(), self._look)
        self._look()

    def count_moved(self) -> int | None:
        """See `connection_limit.Holder`."""
        return None

    def evict(self) -> None:
        """See `connection_limit.Holder`."""
        self._stop()
        self._socket.close()

    def _look(self) -> None:
        try:
            peeked = self._socket.recv(MAX_BINARY_BYTES - len(self._read), socket.MSG_PEEK)
            if not peeked:
                self._give_up("the connection ended before it")
                return
            preamble = parse_preamble(self._read + peeked)
            # If the preamble is incomplete, all these bytes belong to it.
            self._socket.recv(len(peeked) if preamble is None else preamble.length - len(self._read))
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, ValueError) as error:
            self._give_up(str(error))
            return
        self._read += peeked
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
