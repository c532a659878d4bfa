"""Bearer tokens for the upstream: fetched from its realm, or made by us. Each is used again until it ends."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import httpx

from authproxy.access import Access
from authproxy.bounded_cache import Bounded
from authproxy.clock import Clock
from authproxy.errors import GatewayFailed
from authproxy.http.client.address import Address
from authproxy.http.client.bounded_body import IDENTITY, BadBody
from authproxy.http.client.challenge import Challenge, may_send_password, parse_challenge
from authproxy.http.client.token import USED_FOR, Token, ask_token_server, read_token, token_request
from authproxy.proxy.credentials import FixedBasic

# A token refused at this age, in seconds, or younger: a new one would be refused too.
FRESH_FOR_S = 2.0

REMEMBERED_BYTES = 4 * 1024 * 1024
TIMEOUT_S = 30

OK, UNAUTHORIZED = 200, 401


class Minter(Protocol):
    """Signs tokens that the upstream verifies."""

    def mint(self, needs: Sequence[Access]) -> Token:
        """A token for exactly this. Raises RegistryError where no key signs."""


@dataclass(frozen=True, slots=True)
class _CachedToken:
    value: bytes = field(repr=False)
    since: float
    until: float


class Bearer:
    """`Authorization: Bearer …` by what a request needs; `get` brings a token that is not known yet.

    Those who need the same at once wait for one.
    """

    def __init__(self, get: Callable[[Sequence[Access]], Awaitable[Token]], now: Clock) -> None:
        self._get = get
        self._now = now
        self._known: Bounded[Hashable, _CachedToken] = Bounded(REMEMBERED_BYTES)
        self._coming: dict[Hashable, asyncio.Lock] = {}

    async def authorization(self, needs: Sequence[Access]) -> bytes:
        """See Credentials."""
        key = tuple(needs)
        if (value := self._find(key)) is not None:
            return value
        lock = self._coming.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                return self._find(key) or await self._bring(key)
        finally:
            if not lock.locked():
                self._coming.pop(key, None)

    def forget(self, needs: Sequence[Access]) -> bool:
        """See Credentials."""
        known = self._known.pop(tuple(needs))
        return known is not None and self._now() - known.since > FRESH_FOR_S

    def _find(self, key: tuple[Access, ...]) -> bytes | None:
        known = self._known.get(key)
        return known.value if known is not None and self._now() < known.until else None

    async def _bring(self, key: tuple[Access, ...]) -> bytes:
        token = await self._get(key)
        if not token.fits_header:
            raise GatewayFailed("the upstream registry's token server answered with a token that no header can hold")
        now = self._now()
        value = f"Bearer {token.text}".encode()
        self._known.put(key, _CachedToken(value, now, now + USED_FOR * token.lifetime_s), len(value) + 200)
        return value


def minted_bearer(minter: Minter, now: Clock) -> Bearer:
    """Tokens that we sign ourselves."""

    async def mint(needs: Sequence[Access]) -> Token:
        return minter.mint(needs)

    return Bearer(mint, now)


class TokenServer:
    """Fetches tokens from where the upstream's challenge says, as `login` or as nobody.

    The password goes to the upstream's own hosts and to `allowed`, and nowhere else. `tls`, which may show a
    certificate of ours, is for its own hosts.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        *,
        tls: ssl.SSLContext | None,
        server_name: str | None = None,
        login: FixedBasic | None = None,
        allowed: Collection[str] = (),
    ) -> None:
        self._addresses = addresses
        self._tls = tls
        self._server_name = server_name
        self._login = login
        self._allowed = allowed
        self._foreign_tls = ssl.create_default_context()
        self._challenge: Challenge | None = None

    async def fetch(self, needs: Sequence[Access]) -> Token:
        """A token for this. Raises GatewayFailed if the token server gives none."""
        if self._challenge is None:
            self._challenge = await self._find_challenge()
        login = None if self._login is None else self._login.value.decode()
        try:
            answer = await self._ask(token_request(self._challenge, needs, login))
        except _Unanswered as exc:
            raise GatewayFailed("the upstream registry's token server cannot be reached") from exc
        if answer.status_code == OK and (token := read_token(answer.content)) is not None:
            return token
        self._challenge = None  # perhaps it has moved
        if answer.status_code == UNAUTHORIZED:
            raise GatewayFailed("the upstream registry's token server does not take the credentials it is sent")
        raise GatewayFailed(f"the upstream registry's token server gave no token (HTTP {answer.status_code})")

    async def _find_challenge(self) -> Challenge:
        """Ask `/v2/` without credentials, at one address after the other."""
        for address in self._addresses:
            with suppress(_Unanswered):
                answer = await self._ask(httpx.Request("GET", f"{address.url}/v2/", headers=IDENTITY))
                challenge = parse_challenge(answer.headers.get_list("www-authenticate"))
                if answer.status_code != UNAUTHORIZED or challenge is None:
                    raise GatewayFailed(
                        f"the upstream registry asks for no token (HTTP {answer.status_code}): set authorization to"
                        " strip or basic"
                    )
                return check_realm(challenge, self._addresses, self._allowed)
        raise GatewayFailed("the upstream registry cannot be asked where its tokens come from")

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        host = request.url.raw_host.decode("ascii")
        is_own = any(host == address.host for address in self._addresses) and self._tls is not None
        tls = self._tls if is_own and self._tls is not None else self._foreign_tls
        if is_own and self._server_name:
            request.extensions["sni_hostname"] = self._server_name
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                httpx.AsyncClient(verify=tls, trust_env=False, timeout=TIMEOUT_S) as client,
            ):
                return await ask_token_server(client, request)
        except BadBody as exc:
            raise GatewayFailed(f"the upstream registry's token server answered with {exc}") from exc
        except (TimeoutError, httpx.HTTPError) as exc:
            raise _Unanswered from exc


def check_realm(challenge: Challenge, registry: Sequence[Address], allowed: Collection[str]) -> Challenge:
    """The challenge, if its realm may have the password. Raises GatewayFailed. Without a password the same holds."""
    if not may_send_password(challenge.realm, registry, allowed):
        raise GatewayFailed("the upstream registry sends us to a token server that is not its own: name it in realms")
    return challenge


class _Unanswered(Exception):
    """Nobody answered: another address may."""
