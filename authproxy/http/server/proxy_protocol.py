"""The PROXY protocol, versions 1 and 2: before everything else on a connection, a proxy says for whom it speaks.

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

# §2 of the specification: a proxy sends it at once, and all in one piece. It wants at least three seconds.
WITHIN_S: Final = 5.0

# As a socket names its peer: host and port, for IPv6 with flow and zone behind.
Peer: TypeAlias = tuple[str, int] | tuple[str, int, int, int]

# §2.1: a line of at most 107 characters, its end included. Both ports are decimal, without noughts in front.
MAX_LINE_BYTES: Final = 107
_LINE: Final = re.compile(
    rb"PROXY (?:UNKNOWN[^\r\n]*"
    rb"|TCP([46]) ([0-9A-Fa-f:.]+) [0-9A-Fa-f:.]+ (0|[1-9][0-9]{0,4}) (?:0|[1-9][0-9]{0,4}))\r\n"
)

# §2.2: the signature, then version and command, family and transport, and the length of what follows: addresses, and
# more that is not looked at here. What proxies add there is a few hundred bytes.
_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED: Final = struct.Struct("!12sBBH")
MAX_BINARY_BYTES: Final = 4096
_LOCAL, _PROXY = 0x20, 0x21
_TCP4: Final = (0x11, struct.Struct("!4s4sHH"), socket.AF_INET)
_TCP6: Final = (0x21, struct.Struct("!16s16sHH"), socket.AF_INET6)

_LAST_PORT: Final = 65_535


class Preamble(NamedTuple):
    """What a proxy has said."""

    length: int  # in bytes, of all of it
    client: Peer | None  # None: it speaks for itself, as when it looks whether we serve, or does not know


def parse_preamble(data: bytes) -> Preamble | None:
    """What stands at the beginning of a connection's bytes, or None: more has to come.

    Raises ValueError for what is none.
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
        raise ValueError("its address is of another family, or its port past the last")
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
    return Preamble(total, None)  # §2.2: of a family that we don't know the connection's own addresses count


def _peer(host: str, port: int, *, is_ipv6: bool) -> Peer:
    return (host, port, 0, 0) if is_ipv6 else (host, port)


class AwaitPreamble:
    """Waits on an accepted socket for the preamble, and takes no byte of what follows it.

    Calls `go_on` with whom the connection is from, once; where no preamble comes the socket is closed.
    """

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
