"""One request to a registry: it ends within TIMEOUT_S, follows no redirect, and fails as NoAnswer.

With credentials, `ping/client_requests.py` asks as clients of registries do, `upstream/proxy_requests.py` as our proxy.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

import httpx

from authproxy.access import Access
from authproxy.doctor.handshake import wants_certificate
from authproxy.doctor.response import RegistryResponse
from authproxy.http.client.bounded_body import IDENTITY

# For a whole response; a registry that takes longer keeps its clients waiting too.
TIMEOUT_S = 15.0

# No more is read of a body; the proxy reads no more of a list either (`proxy/content.py`).
MAX_BYTES = 16 * 1024 * 1024

# No content has this digest.
UNKNOWN_DIGEST = f"sha256:{'0' * 64}"


class NoAnswer(Exception):
    """The registry did not answer, or could not be asked; the text says why."""

    def __init__(self, why: str, *, wants_certificate: bool = False) -> None:
        super().__init__(why)
        self.wants_certificate = wants_certificate


class AuthorizedRequests(Protocol):
    """Requests to one registry, with the credentials that it asks for."""

    async def ask(self, method: str, target: str, *needs: Access) -> RegistryResponse:
        """One request for a path and query, which needs this access. Raises NoAnswer."""


@asynccontextmanager
async def open_client(tls: ssl.SSLContext | None, base: str = "") -> AsyncIterator[httpx.AsyncClient]:
    """A client for the length of a block. It follows no redirect, and ignores `HTTPS_PROXY` and `.netrc`.

    Paths are relative to `base`.
    """
    verify = tls or ssl.create_default_context()
    async with httpx.AsyncClient(
        base_url=base, verify=verify, timeout=TIMEOUT_S, headers=IDENTITY, trust_env=False
    ) as client:
        yield client


async def get(client: httpx.AsyncClient, url: str, headers: Mapping[str, str] | None = None) -> RegistryResponse:
    """GET a URL, or a path, with these headers and no credentials besides. Raises NoAnswer."""
    try:
        request = client.build_request("GET", url, headers=headers)
    except httpx.InvalidURL as error:
        raise NoAnswer(why_no_answer(error)) from error
    return await send(client, request)


async def send(client: httpx.AsyncClient, request: httpx.Request) -> RegistryResponse:
    """Send a request and read the response. Raises NoAnswer."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await _read(client, request)
    except (TimeoutError, httpx.TimeoutException) as error:
        raise NoAnswer(f"no response within {TIMEOUT_S:.0f} s") from error
    except (httpx.HTTPError, OSError) as error:  # a server that refuses us after the handshake: ssl's own
        raise NoAnswer(why_no_answer(error), wants_certificate=wants_certificate(error)) from error


def why_no_answer(error: Exception) -> str:
    """A failure of HTTP or below it, in words."""
    if isinstance(error, httpx.RemoteProtocolError):
        return f"the response is not HTTP/1.1: {error}"
    return str(error) or type(error).__name__


async def _read(client: httpx.AsyncClient, request: httpx.Request) -> RegistryResponse:
    response = await client.send(request, stream=True)
    try:
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) >= MAX_BYTES:
                break
        return RegistryResponse(response.status_code, response.headers, bytes(body[:MAX_BYTES]))
    finally:
        await response.aclose()
