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
from authproxy.client_view import ClientView
from authproxy.doctor.handshake import wants_certificate
from authproxy.doctor.response import NoAnswer, RegistryResponse, read_answer, why_no_answer
from authproxy.errors import RegistryError
from authproxy.http.client.address import Address
from authproxy.proxy.headers import request_headers

# For a whole answer; a registry that takes longer keeps its clients waiting too.
TIMEOUT_S = 15.0

# The name that clients use in our questions where `http.host` says none. RFC 2606 gives it to nobody.
NOBODYS_HOST = "authproxy-doctor.example"


class CredentialSource(Protocol):
    """What proves us there; the proxy's credentials are such."""

    async def authorization(self, needs: Sequence[Access]) -> bytes:
        """The value of `Authorization` for a request that needs this. Raises RegistryError where none can be had."""


class NoCredentials(NoAnswer):
    """What the upstream should be shown could not be had."""


@dataclass(frozen=True, slots=True)
class UpstreamClient:
    """Asks one address. Requests bring what `presents` says, where there is such.

    `server_name` is what TLS asks for. Headers are those of the proxy, on behalf of a client at `view`.
    """

    address: Address
    view: ClientView
    client: httpx.AsyncClient
    server_name: str
    presents: CredentialSource | None = None

    async def ask(self, method: str, path: str, query: str = "", *, needs: Sequence[Access] = ()) -> RegistryResponse:
        """One request, which needs this; redirects are not followed. Raises NoAnswer, NoCredentials."""
        own = [(b"accept-encoding", b"identity")]
        if method == "POST":
            own.append((b"content-length", b"0"))
        if self.presents is not None:
            own.append((b"authorization", await self._authorization(self.presents, needs)))
        request = httpx.Request(
            method,
            self.address.url,
            headers=request_headers(own, self.view, pass_authorization=True),
            extensions={
                "target": self.address.target(path.encode("ascii"), query.encode("ascii")),
                "sni_hostname": self.server_name,
                "timeout": httpx.Timeout(TIMEOUT_S).as_dict(),
            },
        )
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await read_answer(self.client, request)
        except (TimeoutError, httpx.TimeoutException) as exc:
            raise NoAnswer(f"nothing came within {TIMEOUT_S:.0f} s") from exc
        except (httpx.HTTPError, OSError) as exc:  # where a server refuses us after the handshake, ssl's own
            raise NoAnswer(why_no_answer(exc), wants_certificate=wants_certificate(exc)) from exc

    async def _authorization(self, presents: CredentialSource, needs: Sequence[Access]) -> bytes:
        try:
            return await presents.authorization(needs)
        except RegistryError as exc:
            raise NoCredentials(str(exc)) from exc


@asynccontextmanager
async def open_client(tls: ssl.SSLContext | None) -> AsyncIterator[httpx.AsyncClient]:
    """A client that adds nothing and follows nothing, for the length of a block."""
    async with httpx.AsyncClient(verify=tls or ssl.create_default_context(), trust_env=False) as client:
        yield client


def client_view(public: str | None) -> ClientView:
    """Where a client believes itself: at `http.host`, or at a name that nobody has."""
    parts = urlsplit(public or f"https://{NOBODYS_HOST}")
    return ClientView(parts.scheme, parts.netloc, "", prefix=parts.path.rstrip("/"))
