"""Requests as clients of registries send them: without credentials, or with those that the challenge asks for."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from authproxy.access import Access
from authproxy.doctor.request import TIMEOUT_S, NoAnswer, open_client, send, why_no_answer
from authproxy.doctor.response import RegistryResponse
from authproxy.http.client.address import Address
from authproxy.registry_client.client import RegistryClient
from authproxy.registry_client.errors import RegistryClientError


@dataclass(frozen=True, slots=True)
class AnonymousClient:
    """Sends what it is given: no credentials of its own, no response to a challenge."""

    base: httpx.URL
    client: httpx.AsyncClient

    async def ask(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> RegistryResponse:
        """One request, to a path of the registry or to an address. Raises NoAnswer."""
        try:
            request = self.client.build_request(method, self.base.join(url), headers=headers)
        except httpx.InvalidURL as error:
            raise NoAnswer(why_no_answer(error)) from error
        return await send(self.client, request)


@asynccontextmanager
async def open_anonymous(address: Address, tls: ssl.SSLContext | None) -> AsyncIterator[AnonymousClient]:
    """Requests without credentials to an address, for the length of a block."""
    async with open_client(tls) as client:
        yield AnonymousClient(httpx.URL(address.url), client)


@dataclass(frozen=True, slots=True)
class AuthorizedClient:
    """Sends requests as `registry_client` does, with a token or a password if the registry asks for one."""

    registry: RegistryClient

    async def ask(self, method: str, target: str, *needs: Access) -> RegistryResponse:
        """One request. Raises NoAnswer, also if no token is available."""
        try:
            async with asyncio.timeout(2 * TIMEOUT_S):
                url = await self.registry.address(target)
                response = await self.registry.read(await self.registry.send_once(method, url, needs))
        except TimeoutError as error:
            raise NoAnswer(f"no response within {2 * TIMEOUT_S:.0f} s") from error
        except RegistryClientError as error:
            raise NoAnswer(str(error)) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:  # the latter of a redirect
            raise NoAnswer(why_no_answer(error)) from error
        return RegistryResponse(response.status_code, response.headers, response.content)
