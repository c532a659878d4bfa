"""Requests as our proxy sends them: its headers, on behalf of a client, and what our configuration presents."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from authproxy.access import Access
from authproxy.client_view import ClientView
from authproxy.doctor.request import NoAnswer, send
from authproxy.doctor.response import RegistryResponse
from authproxy.errors import RegistryError
from authproxy.http.client.address import Address
from authproxy.proxy.headers import request_headers

# The name that our requests say clients use, if `http.host` has none. RFC 2606 reserves it.
SAMPLE_HOST = "authproxy-doctor.example"


class CredentialSource(Protocol):
    """Where `Authorization` comes from, such as one of the proxy's credentials."""

    async def authorization(self, needs: Sequence[Access]) -> bytes:
        """The value of `Authorization` for a request that needs this. Raises RegistryError if none is available."""


class NoCredentials(NoAnswer):
    """The credentials for the upstream are not available."""


@dataclass(frozen=True, slots=True)
class UpstreamClient:
    """Sends requests to one address, with the credentials of `presents` if there are any.

    `server_name` is what TLS asks for. Headers are those of the proxy, on behalf of a client at `view`.
    """

    address: Address
    view: ClientView
    client: httpx.AsyncClient
    server_name: str
    presents: CredentialSource | None = None

    async def ask(self, method: str, target: str, *needs: Access) -> RegistryResponse:
        """One request. Raises NoAnswer, NoCredentials."""
        own = [(b"accept-encoding", b"identity")]
        if method == "POST":
            own.append((b"content-length", b"0"))
        if self.presents is not None:
            own.append((b"authorization", await self._authorization(self.presents, needs)))
        path, _, query = target.encode("ascii").partition(b"?")
        request = httpx.Request(
            method,
            self.address.url,
            headers=request_headers(own, self.view, pass_authorization=True),
            extensions={"target": self.address.target(path, query), "sni_hostname": self.server_name},
        )
        return await send(self.client, request)

    async def _authorization(self, presents: CredentialSource, needs: Sequence[Access]) -> bytes:
        try:
            return await presents.authorization(needs)
        except RegistryError as exc:
            raise NoCredentials(str(exc)) from exc


def client_view(public: str | None) -> ClientView:
    """The view of a client that asked for `http.host`, or for SAMPLE_HOST."""
    parts = urlsplit(public or f"https://{SAMPLE_HOST}")
    return ClientView(parts.scheme, parts.netloc, "", prefix=parts.path.rstrip("/"))
