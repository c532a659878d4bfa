"""Connections to the upstream: a bounded number, used again where they were left whole, closed where they were not.

httpcore has a pool, but a request cancelled at the wrong moment leaves it a connection that is neither used nor closed
for ever, and clients that go away are what cancels requests here. So connections are lent: whoever takes one gives it
back, in one step that cannot be interrupted. See docs/decisions/0010-stream-through-httpx-over-own-sockets.md.
"""

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass

import httpcore

from authproxy.proxy.address import Address
from authproxy.proxy.network import Wire, open_wire

# Each request in flight has a connection of its own; more wait for one. Below the usual limit of 1024 open files.
MAX_CONNECTIONS = 400
MAX_IDLE_CONNECTIONS = 32

# Shorter than upstreams keep idle connections (5 s at the least, among common servers): a request that meets a closing
# one cannot always be repeated.
IDLE_FOR_S = 4.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long we wait for the upstream, in seconds."""

    connect_s: float = 10
    read_s: float = 900  # between two pieces, and for the answer's beginning: a registry may hash gigabytes first
    write_s: float = 900
    pool_s: float = 30  # for a connection to be given back, where as many as may be are lent


@dataclass(frozen=True, slots=True, eq=False)
class Connection:
    """One connection: httpcore's HTTP/1.1 on a wire of ours."""

    wire: Wire
    http: httpcore.AsyncHTTP11Connection


class Pool:
    """Lends connections to one upstream."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None, timeouts: Timeouts) -> None:
        self._address = address
        self._tls = tls
        self._timeouts = timeouts
        self._origin = httpcore.Origin(address.scheme.encode(), address.host.encode(), address.port)
        self._free = asyncio.Semaphore(MAX_CONNECTIONS)
        self._idle: deque[Connection] = deque()  # the longest idle first
        self._lent: set[Connection] = set()

    def __repr__(self) -> str:
        return f"<Pool {self._address.url}, {len(self._lent)} lent, {len(self._idle)} idle>"

    async def take(self) -> Connection:
        """Borrow a connection. Raises httpcore.PoolTimeout, ConnectTimeout, ConnectError."""
        try:
            async with asyncio.timeout(self._timeouts.pool_s):
                await self._free.acquire()
        except TimeoutError as exc:
            raise httpcore.PoolTimeout(f"{MAX_CONNECTIONS} requests are in flight") from exc
        try:
            connection = self._find_idle() or await self._open()
        except BaseException:
            self._free.release()
            raise
        self._lent.add(connection)
        return connection

    def give_back(self, connection: Connection) -> None:
        """End the loan: kept if the last answer was read to its end, else closed at once. May be repeated."""
        if connection not in self._lent:
            return
        self._lent.remove(connection)
        self._free.release()
        if connection.http.is_idle() and len(self._idle) < MAX_IDLE_CONNECTIONS:
            self._idle.append(connection)
        else:
            connection.wire.abort()
        while self._idle and self._idle[0].http.has_expired():
            self._idle.popleft().wire.abort()

    def close(self) -> None:
        """Close every connection, lent or idle."""
        for connection in (*self._lent, *self._idle):
            connection.wire.abort()
        self._idle.clear()

    def _find_idle(self) -> Connection | None:
        # The last one used first: it is the least likely to be closed just now.
        while self._idle:
            connection = self._idle.pop()
            if not connection.http.has_expired():
                return connection
            connection.wire.abort()
        return None

    async def _open(self) -> Connection:
        wire = await open_wire(self._address.host, self._address.port, tls=self._tls, timeout=self._timeouts.connect_s)
        return Connection(wire, httpcore.AsyncHTTP11Connection(self._origin, wire, keepalive_expiry=IDLE_FOR_S))
