"""Requests to the upstream, with the headers of a proxy: what it is asked, and what it answered."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from authproxy.access import Access
from authproxy.doctor.upstream.connection import wants_certificate
from authproxy.errors import RegistryError
from authproxy.origin import Origin
from authproxy.proxy.address import Address
from authproxy.proxy.headers import request_headers

# For a whole answer; a registry that takes longer keeps its clients waiting too.
TIMEOUT_S = 15.0
# Of an answer no more is read; nor does the proxy read more of a list (`proxy/inquiry.py`).
MAX_BYTES = 16 * 1024 * 1024

# The name that clients use in our questions where `http.host` says none. RFC 2606 gives it to nobody.
NOBODYS_HOST = "authproxy-doctor.example"


class Presents(Protocol):
    """What proves us there; the proxy's credentials are such."""

    async def authorization(self, needs: Sequence[Access]) -> bytes:
        """The value of `Authorization` for a request that needs this. Raises RegistryError where none can be had."""


class NoAnswer(Exception):
    """The upstream did not answer, or could not be asked; the text says why."""

    def __init__(self, why: str, *, wants_certificate: bool = False) -> None:
        super().__init__(why)
        self.wants_certificate = wants_certificate


class NoCredentials(NoAnswer):
    """What the upstream should be shown could not be had."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the upstream answered. `body` has its first MAX_BYTES."""

    status: int
    headers: httpx.Headers
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Questions:
    """Asks one address. Requests bring what `presents` says, where there is such.

    `server_name` is what TLS asks for. Headers are those of the proxy, on behalf of a client at `origin`.
    """

    address: Address
    origin: Origin
    client: httpx.AsyncClient
    server_name: str
    presents: Presents | None = None

    async def ask(self, method: str, path: str, query: str = "", *, needs: Sequence[Access] = ()) -> Answer:
        """One request, which needs this; redirects are not followed. Raises NoAnswer, NoCredentials."""
        own = [(b"accept-encoding", b"identity")]
        if method == "POST":
            own.append((b"content-length", b"0"))
        if self.presents is not None:
            own.append((b"authorization", await self._authorization(self.presents, needs)))
        request = httpx.Request(
            method,
            self.address.url,
            headers=request_headers(own, self.origin, pass_authorization=True),
            extensions={
                "target": self.address.target(path.encode("ascii"), query.encode("ascii")),
                "sni_hostname": self.server_name,
                "timeout": httpx.Timeout(TIMEOUT_S).as_dict(),
            },
        )
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._read(request)
        except (TimeoutError, httpx.TimeoutException) as exc:
            raise NoAnswer(f"nothing came within {TIMEOUT_S:.0f} s") from exc
        except (httpx.HTTPError, OSError) as exc:  # where a server refuses us after the handshake, ssl's own
            raise NoAnswer(_why(exc), wants_certificate=wants_certificate(exc)) from exc

    async def _authorization(self, presents: Presents, needs: Sequence[Access]) -> bytes:
        try:
            return await presents.authorization(needs)
        except RegistryError as exc:
            raise NoCredentials(str(exc)) from exc

    async def _read(self, request: httpx.Request) -> Answer:
        response = await self.client.send(request, stream=True)
        try:
            body = bytearray()
            async for piece in response.aiter_raw():
                body += piece
                if len(body) >= MAX_BYTES:
                    break
            return Answer(response.status_code, response.headers, bytes(body[:MAX_BYTES]))
        finally:
            await response.aclose()


@asynccontextmanager
async def open_client(tls: ssl.SSLContext | None) -> AsyncIterator[httpx.AsyncClient]:
    """A client that adds nothing and follows nothing, for the length of a block."""
    async with httpx.AsyncClient(verify=tls or ssl.create_default_context(), trust_env=False) as client:
        yield client


def client_view(public: str | None) -> Origin:
    """Where a client believes itself: at `http.host`, or at a name that nobody has."""
    parts = urlsplit(public or f"https://{NOBODYS_HOST}")
    return Origin(parts.scheme, parts.netloc, "", prefix=parts.path.rstrip("/"))


def _why(error: Exception) -> str:
    if isinstance(error, httpx.RemoteProtocolError):
        return f"what came is no answer in HTTP/1.1: {error}"
    return str(error) or type(error).__name__
