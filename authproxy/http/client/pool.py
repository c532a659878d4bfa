"""Connections to one address: a bounded number, used again if their last exchange was complete, else closed.

Connections are lent: a borrower gives its connection back, in one step that cannot be interrupted. So a request that is
cancelled, at any moment, loses no place. See docs/decisions/0026-speak-http-with-the-upstream.md.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Self

from authproxy import budget
from authproxy.asgi import Headers
from authproxy.http.client.address import Address
from authproxy.http.client.connection import Timeouts, UpstreamConnection, UpstreamRequest
from authproxy.http.client.errors import Busy, WentStale
from authproxy.http.client.network import open_wire
from authproxy.http.client.request_queue import RequestQueue
from authproxy.http.client.slow_clients import Transfer

MAX_IDLE_CONNECTIONS = 32

# Shorter than upstreams keep idle connections (at least 5 s, among common servers): a request on a connection that is
# being closed cannot always be repeated.
IDLE_FOR_S = 4.0

# Up to this length, in bytes, reading an unwanted body costs less than a new connection.
WORTH_SKIPPING_BYTES = 64 * 1024


class Pool:
    """Lends connections to one address. `tls` is for https; `server_name` is then the name in the certificate.

    `may_connect` decides about the IP addresses that the address resolves to.
    """

    def __init__(
        self,
        address: Address,
        tls: ssl.SSLContext | None,
        timeouts: Timeouts,
        *,
        server_name: str | None = None,
        may_connect: Callable[[str], bool] | None = None,
    ) -> None:
        self.address = address
        self._may_connect = may_connect
        self.in_flight = 0  # requests that have a connection, wait for one, or open one
        self._tls = tls
        self._server_name = server_name
        self._timeouts = timeouts
        self._queue = RequestQueue(budget.UPSTREAM_CONNECTIONS)
        self._idle: deque[UpstreamConnection] = deque()  # the longest idle first
        self._lent: dict[UpstreamConnection, Transfer | None] = {}  # with the transfer that uses it

    def __repr__(self) -> str:
        return f"<Pool {self.address.url}, {len(self._lent)} lent, {len(self._idle)} idle>"

    async def ask(self, request: UpstreamRequest) -> "UpstreamResponse":
        """Send a request. Raises UpstreamError.

        If an idle connection proves to be closed, a repeatable request is repeated once, on a new connection.
        """
        self.in_flight += 1
        connection: UpstreamConnection | None = None
        try:
            connection = await self._take(request.transfer, may_reuse=True)
            try:
                head = await connection.ask(request)
            except WentStale:
                if not request.is_repeatable:
                    raise
                self._give_back(connection)
                connection = None
                connection = await self._take(request.transfer, may_reuse=False)
                head = await connection.ask(request)
        except BaseException:
            self.in_flight -= 1
            if connection is not None:
                self._give_back(connection)
            raise
        return UpstreamResponse(*head, connection, self)

    def close(self) -> None:
        """Close every connection, lent or idle."""
        for connection in (*self._lent, *self._idle):
            connection.wire.abort()
        self._idle.clear()

    async def _take(self, transfer: Transfer | None, *, may_reuse: bool) -> UpstreamConnection:
        try:
            await self._queue.enter(transfer, self._timeouts.pool_s)
        except TimeoutError as exc:
            raise Busy(f"{budget.UPSTREAM_CONNECTIONS} requests are in flight") from exc
        try:
            connection = (self._find_idle() if may_reuse else None) or await self._open()
        except BaseException:
            self._queue.leave(transfer)
            raise
        self._lent[connection] = transfer
        return connection

    def _give_back(self, connection: UpstreamConnection) -> None:
        """End the loan: keep the connection if the last response was read to its end, else close it."""
        self._queue.leave(self._lent.pop(connection))
        now = asyncio.get_running_loop().time()
        if connection.is_whole() and len(self._idle) < MAX_IDLE_CONNECTIONS:
            connection.idle_since = now
            self._idle.append(connection)
        else:
            connection.wire.abort()
        while self._idle and now - self._idle[0].idle_since > IDLE_FOR_S:
            self._idle.popleft().wire.abort()

    def _find_idle(self) -> UpstreamConnection | None:
        # The most recently used first: it is the least likely to be closed.
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if not self._has_expired(connection, now):
                return connection
            connection.wire.abort()
        return None

    def _has_expired(self, connection: UpstreamConnection, now: float) -> bool:
        return now - connection.idle_since > IDLE_FOR_S or connection.wire.is_readable()

    async def _open(self) -> UpstreamConnection:
        wire = await open_wire(
            self.address.host,
            self.address.port,
            tls=self._tls,
            server_name=self._server_name,
            timeout=self._timeouts.connect_s,
            may_connect=self._may_connect,
        )
        return UpstreamConnection(wire, self._timeouts)


class UpstreamResponse:
    """A response, and the loan of its connection. It must be closed, which may be repeated.

    Iterating over it returns the body, in pieces as read from the socket. Raises UpstreamError if it breaks off.
    """

    def __init__(self, status: int, headers: Headers, connection: UpstreamConnection, pool: Pool) -> None:
        self.status = status
        self.headers = headers
        self._connection: UpstreamConnection | None = connection
        self._pool = pool

    def __repr__(self) -> str:
        return f"<UpstreamResponse {self.status}>"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next piece, never an empty one."""
        assert self._connection is not None
        if piece := await self._connection.read():
            return piece
        raise StopAsyncIteration

    def rest(self) -> bytes | None:
        """The unread rest of the body, if it has all arrived; else None."""
        assert self._connection is not None
        return self._connection.rest()

    def hand_over(self) -> tuple[UpstreamConnection, Pool]:
        """Pass the loan on, for another response to close."""
        assert self._connection is not None
        connection, self._connection = self._connection, None
        return connection, self._pool

    async def skip(self) -> None:
        """Read a short body to its end, so that the connection can be used again; stop in a long one."""
        skipped = 0
        async for piece in self:
            skipped += len(piece)
            if skipped > WORTH_SKIPPING_BYTES:
                return

    def close(self) -> None:
        """Give the connection back; it is closed if the body was not read to its end."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._pool.in_flight -= 1
            self._pool._give_back(connection)  # noqa: SLF001 - the other half of this module
