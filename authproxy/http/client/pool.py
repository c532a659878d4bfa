"""Connections to one address: a bounded number, used again where they were left whole, closed where they were not.

Connections are lent: a borrower gives its connection back, in one step that cannot be interrupted. So a request that is
cancelled, at whatever moment, costs no place. See docs/decisions/0026-speak-http-with-the-upstream.md.
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

# Shorter than upstreams keep idle connections (5 s at the least, among common servers): a request that meets a closing
# one cannot always be repeated.
IDLE_FOR_S = 4.0

# Up to here, in bytes, reading what nobody wants costs less than a new connection.
WORTH_SKIPPING_BYTES = 64 * 1024


class Pool:
    """Lends connections to one address. `tls` is for https; `server_name` is then the name in the certificate.

    `may_connect` judges the IP addresses that it turns out to be.
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
        self._room = RequestQueue(budget.UPSTREAM_CONNECTIONS)
        self._idle: deque[UpstreamConnection] = deque()  # the longest idle first
        self._lent: dict[UpstreamConnection, Transfer | None] = {}  # with what each is lent for

    def __repr__(self) -> str:
        return f"<Pool {self.address.url}, {len(self._lent)} lent, {len(self._idle)} idle>"

    async def ask(self, request: UpstreamRequest) -> "UpstreamResponse":
        """Send a request. Raises UpstreamError.

        One that may be repeated is, once and on a new connection, where an idle one turned out to be closed.
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
            await self._room.enter(transfer, self._timeouts.pool_s)
        except TimeoutError as exc:
            raise Busy(f"{budget.UPSTREAM_CONNECTIONS} requests are in flight") from exc
        try:
            connection = (self._find_idle() if may_reuse else None) or await self._open()
        except BaseException:
            self._room.leave(transfer)
            raise
        self._lent[connection] = transfer
        return connection

    def _give_back(self, connection: UpstreamConnection) -> None:
        """End the loan: kept if the last answer was read to its end, else closed at once."""
        self._room.leave(self._lent.pop(connection))
        now = asyncio.get_running_loop().time()
        if connection.is_whole() and len(self._idle) < MAX_IDLE_CONNECTIONS:
            connection.idle_since = now
            self._idle.append(connection)
        else:
            connection.wire.abort()
        while self._idle and now - self._idle[0].idle_since > IDLE_FOR_S:
            self._idle.popleft().wire.abort()

    def _find_idle(self) -> UpstreamConnection | None:
        # The last one used first: it is the least likely to be closed just now.
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
    """An answer, and the loan of its connection. It has to be closed, once or more.

    Iterated over it gives its body, piece by piece as the socket does. Raises UpstreamError where that breaks off.
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
        """All of the body that was not read yet, where it is here already; None where more is to come."""
        assert self._connection is not None
        return self._connection.rest()

    def hand_over(self) -> tuple[UpstreamConnection, Pool]:
        """The loan itself, for another answer to close."""
        assert self._connection is not None
        connection, self._connection = self._connection, None
        return connection, self._pool

    async def skip(self) -> None:
        """Read a short body to its end, so that the connection can be used again; of a long one no more than that."""
        skipped = 0
        async for piece in self:
            skipped += len(piece)
            if skipped > WORTH_SKIPPING_BYTES:
                return

    def close(self) -> None:
        """Give the connection back; it is closed where the body was not read to its end."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._pool.in_flight -= 1
            self._pool._give_back(connection)  # noqa: SLF001 - the other half of this module
