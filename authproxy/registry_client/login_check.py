"""Checks a login with its registry, as docker does before it stores one."""

from dataclasses import dataclass, replace

import httpx

from authproxy.http.client.unreachable import why_unreachable
from authproxy.program import command
from authproxy.registry_client.client import open_registry
from authproxy.registry_client.docker_config import Login
from authproxy.registry_client.errors import RegistryClientError, refused
from authproxy.registry_client.trust import Trust

OK, UNAUTHORIZED, FORBIDDEN = 200, 401, 403


@dataclass(frozen=True, slots=True)
class CheckedLogin:
    """A login that was not rejected. `was_asked` false: the registry did not ask for it, so it may be wrong."""

    login: Login  # to be stored: with an identity token instead of the password, if the token server issued one
    was_asked: bool


async def sign_in(host: str, login: Login, trust: Trust) -> CheckedLogin:
    """Request `/v2/` with a login. Raises RegistryClientError if it is rejected, or the registry fails."""
    hint = f"; what is wrong: {command(f'registry ping {host}{trust.options}')}"
    async with open_registry(host, login, trust) as registry:
        registry.request_identity_token()
        try:
            url = await registry.address("/v2/")
            answer = await registry.read(await registry.send_once("GET", url, ()))
        except httpx.TransportError as error:
            raise RegistryClientError(f"{host} cannot be reached: {why_unreachable(error)}{hint}") from error
        except RegistryClientError as error:
            if error.status in (UNAUTHORIZED, FORBIDDEN):
                raise _wrong(host, login) from None
            raise RegistryClientError(f"{error}{hint}", error.status) from None
        if answer.status_code == UNAUTHORIZED:
            raise _wrong(host, login)
        if answer.status_code != OK:
            raise refused(answer, f"{host} does not answer as a registry does")
        kept = login
        if registry.identity_token:
            kept = replace(login, password="", identity_token=registry.identity_token)
        return CheckedLogin(kept, "authorization" in answer.request.headers)


def _wrong(host: str, login: Login) -> RegistryClientError:
    return RegistryClientError(
        f"{host} refuses the login of {login.user!r}: the name or the password is wrong", UNAUTHORIZED
    )
