"""Our own HTTP/1.1 client below httpx: large pieces in both directions, and responses before the end of a body.

A rejected upload gets the reason, even if most of it was not sent. See
docs/decisions/0026-speak-http-with-the-upstream.md.
"""

import ssl
from collections.abc import AsyncIterator

import httpx

from authproxy.http.client.address import DEFAULT_PORTS, Address
from authproxy.http.client.connection import Timeouts, UpstreamRequest
from authproxy.http.client.errors import ConnectTimedOut, TimedOut, Unreachable, UpstreamError
from authproxy.http.client.pool import Pool, UpstreamResponse

# A registry may have to copy an upload of gigabytes within its storage before it responds.
TIMEOUTS = Timeouts(connect_s=30, read_s=300, write_s=300)


class PooledTransport(httpx.AsyncBaseTransport):
    """Connections to any host, with one TLS context. A body must have a `Content-Length`."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._pools: dict[Address, Pool] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises TransportError."""
        url = request.url
        if url.scheme not in DEFAULT_PORTS or not url.host:
            raise httpx.UnsupportedProtocol(f"{url.scheme}://{url.host} is not an HTTP address")
        # `url.host` is decoded from its xn-- form; the system would encode it by other rules, to another host (ß, ss).
        host = url.raw_host.decode("ascii")
        pool = self._pool(Address(url.scheme, host, url.port or DEFAULT_PORTS[url.scheme]))
        headers = [(name.lower(), value) for name, value in request.headers.raw]
        assert isinstance(request.stream, httpx.AsyncByteStream)
        has_body = request.headers.get("content-length", "0") != "0"
        body = aiter(request.stream) if has_body else None
        try:
            answer = await pool.ask(UpstreamRequest(request.method, url.raw_path, headers, body))
        except UpstreamError as error:
            raise _transport_error(error) from error
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    async def aclose(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            pool.close()

    def _pool(self, address: Address) -> Pool:
        if address not in self._pools:
            self._pools[address] = Pool(address, self._tls if address.scheme == "https" else None, TIMEOUTS)
        return self._pools[address]


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: UpstreamResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._answer:
                yield piece
        except UpstreamError as error:
            raise _transport_error(error) from error

    async def aclose(self) -> None:
        self._answer.close()


def _transport_error(error: UpstreamError) -> httpx.TransportError:
    text = str(error) or type(error).__name__
    match error:
        case ConnectTimedOut():
            return httpx.ConnectTimeout("connection timed out")
        case Unreachable():
            return httpx.ConnectError(text)
        case TimedOut():
            return httpx.ReadTimeout(text)
        case _:
            return httpx.RemoteProtocolError(text)
