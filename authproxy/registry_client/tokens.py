"""The `Authorization` that a registry's challenge demands: Basic, or tokens from its realm, used until they expire.

Docker token authentication; for identity tokens its OAuth2 form (docs, "Authenticate via OAuth2").
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from authproxy.access import Access
from authproxy.clock import Clock
from authproxy.http.client.address import Address
from authproxy.http.client.bounded_body import BadBody
from authproxy.http.client.challenge import (
    Challenge,
    format_basic,
    may_send_password,
    parse_challenge,
    shared_domain,
)
from authproxy.http.client.token import (
    CLIENT_ID,
    DEFAULT_LIFETIME_S,
    USED_FOR,
    ask_token_server,
    read_token,
    refresh_request,
    token_request,
)
from authproxy.registry_client.docker_config import Login
from authproxy.registry_client.errors import RegistryClientError, refused
from authproxy.registry_client.retry import send_with_retries


@dataclass(frozen=True, slots=True)
class _CachedToken:
    text: str = field(repr=False)
    until: float


class Authorizer:
    """The `Authorization` of requests to one registry, learned from its challenges."""

    def __init__(self, host: str, login: Login | None, client: httpx.AsyncClient, now: Clock) -> None:
        self._host = host
        self._login = login
        self._client = client
        self._now = now
        self.wants_identity_token = False  # ask for an identity token too, with each token for the login's password
        self.identity_token = ""  # the identity token, once received
        self._basic: str | None = None  # the value that needs no token server: a password, or the registry's own token
        self._tokens: dict[tuple[Access, ...], _CachedToken] = {}
        self._fetching: defaultdict[tuple[Access, ...], asyncio.Lock] = defaultdict(asyncio.Lock)

    def find(self, needs: Sequence[Access]) -> str | None:
        """The header's value from an earlier challenge, if any fits."""
        token = self._tokens.get(tuple(needs))
        return f"Bearer {token.text}" if token is not None and self._now() < token.until else self._basic

    async def answer(
        self, registry: Address, challenges: Sequence[str], needs: Sequence[Access], refused: str | None = None
    ) -> str | None:
        """The header's value that answers a 401; None if there is no credential for it. Raises RegistryClientError.

        `registry` is the address that sent the 401, `refused` the value that was sent. Requests that are refused at
        the same time share one new token.
        """
        challenge = parse_challenge(challenges)
        if self._login is not None and self._login.registry_token:  # it is sent unchanged, and never renewed
            self._basic = None if refused else f"Bearer {self._login.registry_token}"
            return self._basic
        if challenge is None:
            is_basic = any(value.lower().startswith("basic") for value in challenges)
            if not is_basic or self._login is None or self._login.identity_token:
                return None
            self._basic = format_basic(self._login.user, self._login.password)
            return self._basic
        async with self._fetching[tuple(needs)]:
            known = self.find(needs)
            if known is not None and known not in (refused, self._basic):
                return known
            if self._login is not None:
                self._check_realm(challenge.realm, registry)
            token = await self._fetch(challenge, needs)
            self._tokens[tuple(needs)] = token
            return f"Bearer {token.text}"

    def _check_realm(self, realm: str, registry: Address) -> None:
        if not may_send_password(realm, [registry], domain=shared_domain(registry.host)):
            raise RegistryClientError(
                f"{self._host} names the token server {realm[:200]!r}, which is not its own: the password is not sent"
            )

    async def _fetch(self, challenge: Challenge, needs: Sequence[Access]) -> _CachedToken:
        what = f"a token from {challenge.realm}"
        try:
            request = self._request(challenge, needs)
            answer = await send_with_retries(lambda: ask_token_server(self._client, request))
        except BadBody as error:
            raise RegistryClientError(f"{what} is not available: the server answers with {error}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RegistryClientError(f"{what} is not available: {str(error) or type(error).__name__}") from error
        if answer.status_code != httpx.codes.OK:
            raise refused(answer, what)
        token = read_token(answer.content)
        if token is None or not token.fits_header:
            raise RegistryClientError(f"{what} is not available: the response has none")
        if self.wants_identity_token and token.identity:
            self.identity_token = token.identity
        # Docker token authentication: any token is valid for at least a minute.
        return _CachedToken(token.text, self._now() + USED_FOR * max(DEFAULT_LIFETIME_S, token.lifetime_s))

    def _request(self, challenge: Challenge, needs: Sequence[Access]) -> httpx.Request:
        login = self._login
        if login is None:
            return token_request(challenge, needs)
        if login.identity_token:
            return refresh_request(challenge, needs, login.identity_token)
        more = [("account", login.user)]
        if self.wants_identity_token:
            more += [("client_id", CLIENT_ID), ("offline_token", "true")]
        return token_request(challenge, needs, format_basic(login.user, login.password), more)
