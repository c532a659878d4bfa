"""Requests as clients of registries send them, with the credentials that the challenge asks for."""

import asyncio
from dataclasses import dataclass

import httpx

from authproxy.access import Access
from authproxy.doctor.request import TIMEOUT_S, NoAnswer, why_no_answer
from authproxy.doctor.response import RegistryResponse
from authproxy.registry_client.client import RegistryClient
from authproxy.registry_client.errors import RegistryClientError


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
