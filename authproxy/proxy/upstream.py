"""The backend that is another registry: one exchange from the client's request to the upstream's answer.

See docs/explanation/proxy.md for the walk through it.
"""

import asyncio
from contextlib import AsyncExitStack, aclosing
from functools import partial
from pathlib import Path

import httpx
import structlog

from authproxy import asgi
from authproxy.errors import GatewayFailed, RegistryError
from authproxy.origin import Origin
from authproxy.proxy.address import parse_address
from authproxy.proxy.client import open_client, open_tls
from authproxy.proxy.failure import FOREIGN, gateway_error, refused_credentials
from authproxy.proxy.headers import content_length, has_body, request_headers, response_headers
from authproxy.proxy.location import Relocation
from authproxy.proxy.network import WentStale
from authproxy.proxy.pool import Timeouts
from authproxy.proxy.stream import RequestBody, cancel_on_disconnect, relay

log = structlog.get_logger(__name__)

# RFC 9110 §9.2.1: asking twice changes nothing. (A DELETE may be idempotent, but its repetition answers 404.)
REPEATABLE = ("GET", "HEAD")

# What a server can send on: RFC 9110 §15 ends at 599.
LAST_STATUS = 599

UNAUTHORIZED, FORBIDDEN = 401, 403


class Upstream:
    """Forward authorised requests to the registry at `url`, streamed both ways.

    `pass_authorization` sends it the client's own `Authorization` and relays its challenges; else neither. `ca` is a
    PEM file to verify an https upstream with, in place of the machine's list. Raises StartError where one is wrong.
    """

    def __init__(
        self,
        url: str,
        *,
        pass_authorization: bool = False,
        ca: Path | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self.address = parse_address(url)
        self.pass_authorization = pass_authorization
        tls = open_tls(self.address.scheme, ca)
        self._url = httpx.URL(self.address.url)
        self._client = open_client(self.address, tls, timeouts or Timeouts())

    def __repr__(self) -> str:
        return f"<Upstream {self.address.url}>"

    async def aclose(self) -> None:
        """Close every connection. Requests in flight fail."""
        await self._client.aclose()

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve one request that the edge has let through: the path and the query in `scope` go out as they are.

        Raises GatewayFailed, GatewayTimedOut or Unavailable; after the start of the answer too, so that the server
        ends the connection instead of a body that only looks complete. Raises ClientDisconnected.
        """
        target = self.address.target(scope["raw_path"], scope["query_string"])
        exchange = asyncio.timeout(None)  # it ends when the client goes away
        try:
            async with exchange, AsyncExitStack() as watching:
                watch = partial(watching.enter_async_context, cancel_on_disconnect(receive, exchange))
                async with aclosing(RequestBody(receive, at_end=watch)) as body:
                    request = self._request(scope, target, body)
                    if request.stream is not body:
                        await watch()
                    async with aclosing(await self._answer(request)) as response:
                        if request.stream is body and not body.is_complete:
                            await watch()  # refused early: what the client still sends is taken and dropped
                        last = await self._relay(response, target, scope[asgi.ORIGIN], send)
        except TimeoutError:
            if exchange.expired():
                raise asgi.ClientDisconnected from None
            raise
        await send(last)

    def _request(self, scope: asgi.Scope, target: bytes, body: RequestBody) -> httpx.Request:
        return httpx.Request(
            scope["method"],
            self._url,
            headers=request_headers(scope["headers"], scope[asgi.ORIGIN], pass_authorization=self.pass_authorization),
            stream=body if has_body(scope["headers"]) else httpx.ByteStream(b""),
            extensions={"target": target},
        )

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        try:
            try:
                return await self._client.send(request, stream=True)
            except WentStale:
                if request.method not in REPEATABLE or isinstance(request.stream, RequestBody):
                    raise
                return await self._client.send(request, stream=True)
        except FOREIGN as exc:
            raise self._failed(gateway_error(exc), request, exc) from exc

    async def _relay(self, response: httpx.Response, target: bytes, origin: Origin, send: asgi.Send) -> asgi.Message:
        request, status, pairs = response.request, response.status_code, response.headers.raw
        if status > LAST_STATUS:
            raise self._failed(GatewayFailed(f"the upstream registry answered with status {status}"), request)
        if not self.pass_authorization and _is_challenge(status, response.headers):
            raise self._failed(refused_credentials(status), request)
        relocation = Relocation(target.decode("ascii"), self.address, origin)
        headers = response_headers(
            status, pairs, relocators={b"location": relocation.relocate, b"link": relocation.relocate_links}
        )
        start = {"type": "http.response.start", "status": status, "headers": headers}
        try:
            return await relay(response.aiter_raw(), start, send, length=content_length(headers))
        except FOREIGN as exc:
            broken = GatewayFailed("the upstream registry broke off in the middle of its answer")
            raise self._failed(broken, request, exc) from exc

    def _failed(self, error: RegistryError, request: httpx.Request, cause: Exception | None = None) -> RegistryError:
        # The path without its query: that may hold the key to an upload session.
        path = request.extensions["target"].partition(b"?")[0].decode("ascii")
        log.warning(
            "upstream failed",
            upstream=self.address.url,
            method=request.method,
            path=path,
            error=str(error),
            cause=None if cause is None else repr(cause),
        )
        return error


def _is_challenge(status: int, headers: httpx.Headers) -> bool:
    return status == UNAUTHORIZED or (status == FORBIDDEN and "www-authenticate" in headers)
