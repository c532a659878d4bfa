"""The HTTP client towards the upstream: httpx over our own sockets, with everything switched off that is not asked for.

It follows no redirect, knows no cookies, reads no proxy from the environment, adds no header and unpacks nothing.
"""

import ssl
from collections.abc import AsyncIterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import httpcore
import httpx

from authproxy.errors import StartError
from authproxy.proxy.address import Address
from authproxy.proxy.pool import Connection, Pool, Timeouts


def open_client(address: Address, tls: ssl.SSLContext | None, timeouts: Timeouts) -> httpx.AsyncClient:
    """A client with a pool of its own. `tls` is for https. It has to be closed."""
    return httpx.AsyncClient(
        transport=Transport(Pool(address, tls, timeouts)),
        timeout=httpx.Timeout(None, read=timeouts.read_s, write=timeouts.write_s),
        follow_redirects=False,
        trust_env=False,
        # httpx keeps what answers set; this jar takes nothing from anybody.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


def open_tls(scheme: str, ca: Path | None) -> ssl.SSLContext | None:
    """What an https upstream's certificate is verified with: `ca` alone, or the machine's own list; None for http.

    Raises StartError where the file cannot be used.
    """
    if scheme != "https":
        if ca is not None:
            raise StartError(
                "upstream.ca: it is for an upstream.url that begins with https://; remove one or change it"
            )
        return None
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except ssl.SSLError as exc:
        raise StartError(f"upstream.ca: {ca} holds no certificate in PEM form: {exc.reason or exc}") from exc
    except OSError as exc:
        raise StartError(f"upstream.ca: cannot read {ca}: {exc.strerror}") from exc
    context.set_alpn_protocols(["http/1.1"])
    return context


class Transport(httpx.AsyncBaseTransport):
    """What httpx sends requests with.

    Errors are httpcore's as they come: they are mapped once, where an exchange ends.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request. Its `target` extension goes out byte for byte in place of the URL's path."""
        assert isinstance(request.stream, httpx.AsyncByteStream)
        connection = await self.pool.take()
        try:
            answer = await connection.http.handle_async_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        except BaseException:
            self.pool.give_back(connection)
            raise
        stream = Answer(answer, connection, self.pool)
        return httpx.Response(answer.status, headers=answer.headers, stream=stream, extensions=answer.extensions)

    async def aclose(self) -> None:
        """Close every connection, busy or idle."""
        self.pool.close()


class Answer(httpx.AsyncByteStream):
    """The body of an answer, piece by piece as the socket gives it. Closing it early closes the connection."""

    def __init__(self, answer: httpcore.Response, connection: Connection, pool: Pool) -> None:
        self._answer = answer
        self._connection = connection
        self._pool = pool

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._answer.aiter_stream()

    async def aclose(self) -> None:
        """Give the connection back, even where this is cancelled."""
        try:
            await self._answer.aclose()
        finally:
            self._pool.give_back(self._connection)
