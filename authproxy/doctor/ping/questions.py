"""Requests to the registry: bare ones, to see what is answered to nobody, and ones with what its challenge asks for."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from authproxy.access import Access
from authproxy.doctor.handshake import wants_certificate
from authproxy.doctor.response import NoAnswer, RegistryResponse, read_answer, why_no_answer
from authproxy.http.client.address import Address
from authproxy.registry_client.client import RegistryClient
from authproxy.registry_client.errors import RegistryClientError

# For a whole answer; a registry that takes longer keeps its clients waiting too.
TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class AnonymousClient:
    """Asks as it stands: adds nothing, answers no challenge, follows nothing."""

    base: httpx.URL
    client: httpx.AsyncClient

    async def ask(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> RegistryResponse:
        """One request, to a path of the registry or to an address. Raises NoAnswer."""
        try:
            request = self.client.build_request(method, self.base.join(url), headers=headers)
            async with asyncio.timeout(TIMEOUT_S):
                return await read_answer(self.client, request)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise NoAnswer(f"nothing came within {TIMEOUT_S:.0f} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise NoAnswer(why_no_answer(error), wants_certificate=wants_certificate(error)) from error


@asynccontextmanager
async def open_bare(address: Address, tls: ssl.SSLContext | None) -> AsyncIterator[AnonymousClient]:
    """Bare questions to an address, for the length of a block."""
    headers = {"accept-encoding": "identity"}
    async with httpx.AsyncClient(
        verify=tls or ssl.create_default_context(), timeout=TIMEOUT_S, headers=headers, trust_env=False
    ) as client:
        yield AnonymousClient(httpx.URL(address.url), client)


@dataclass(frozen=True, slots=True)
class AuthorizedClient:
    """Asks as a client does, with tokens or a password where they are asked for."""

    registry: RegistryClient

    async def ask(self, method: str, path: str, *needs: Access) -> RegistryResponse:
        """One request. Raises NoAnswer, also where a token cannot be had."""
        try:
            async with asyncio.timeout(2 * TIMEOUT_S):
                url = await self.registry.address(path)
                response = await self.registry.read(await self.registry.send_once(method, url, needs))
        except TimeoutError as error:
            raise NoAnswer(f"nothing came within {2 * TIMEOUT_S:.0f} s") from error
        except RegistryClientError as error:
            raise NoAnswer(str(error)) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:  # the latter of a redirect
            raise NoAnswer(why_no_answer(error)) from error
        return RegistryResponse(response.status_code, response.headers, response.content)
