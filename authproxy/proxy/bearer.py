"""Bearer tokens for the upstream: fetched from its realm, or minted by us. Each is reused until it expires."""

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

# If a token of at most this age, in seconds, is refused, a new one would be refused too.
FRESH_FOR_S = 2.0

MAX_CACHED_BYTES = 4 * 1024 * 1024
TIMEOUT_S = 30

OK, UNAUTHORIZED = 200, 401


class Minter(Protocol):
    """Signs tokens that the upstream verifies."""

    def mint(self, needs: Sequence[Access]) -> Token:
        """A token for exactly these accesses. Raises RegistryError if no key signs."""


@dataclass(frozen=True, slots=True)
class _CachedToken:
    value: bytes = field(repr=False)
    since: float
    until: float


class Bearer:
    """`Authorization: Bearer …` for the accesses that a request needs; `get` fetches a token that is not cached.

    Concurrent requests with the same needs wait for one token.
    """

    def __init__(self, get: Callable[[Sequence[Access]], Awaitable[Token]], now: Clock) -> None:
        self._get = get
        self._now = now
        self._cache: Bounded[Hashable, _CachedToken] = Bounded(MAX_CACHED_BYTES)
        self._fetching: dict[Hashable, asyncio.Lock] = {}

    async def authorization(self, needs: Sequence[Access]) -> bytes:
        """See Credentials."""
        key = tuple(needs)
        if (value := self._find(key)) is not None:
            return value
        lock = self._fetching.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                return self._find(key) or await self._fetch(key)
        finally:
            if not lock.locked():
                self._fetching.pop(key, None)

    def forget(self, needs: Sequence[Access]) -> bool:
        """See Credentials."""
        cached = self._cache.pop(tuple(needs))
        return cached is not None and self._now() - cached.since > FRESH_FOR_S

    def _find(self, key: tuple[Access, ...]) -> bytes | None:
        cached = self._cache.get(key)
        return cached.value if cached is not None and self._now() < cached.until else None

    async def _fetch(self, key: tuple[Access, ...]) -> bytes:
        token = await self._get(key)
        if not token.fits_header:
            raise GatewayFailed("the upstream registry's token server sent a token that does not fit into a header")
        now = self._now()
        value = f"Bearer {token.text}".encode()
        self._cache.put(key, _CachedToken(value, now, now + USED_FOR * token.lifetime_s), len(value) + 200)
        return value


def minted_bearer(minter: Minter, now: Clock) -> Bearer:
    """Bearer tokens that we sign ourselves."""

    async def mint(needs: Sequence[Access]) -> Token:
        return minter.mint(needs)

    return Bearer(mint, now)


class TokenServer:
    """Fetches tokens from the realm of the upstream's challenge, with `login` or anonymously.

    The password is sent only to the upstream's own hosts and to `allowed`. `tls`, which may have a certificate of ours,
    is for its own hosts.
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
        """A token for these accesses. Raises GatewayFailed if the token server issues none."""
        if self._challenge is None:
            self._challenge = await self._find_challenge()
        login = None if self._login is None else self._login.value.decode()
        try:
            answer = await self._ask(token_request(self._challenge, needs, login))
        except _Unanswered as exc:
            raise GatewayFailed("the upstream registry's token server cannot be reached") from exc
        if answer.status_code == OK and (token := read_token(answer.content)) is not None:
            return token
        self._challenge = None  # the token server may have moved
        if answer.status_code == UNAUTHORIZED:
            raise GatewayFailed("the upstream registry's token server does not accept the credentials it is sent")
        raise GatewayFailed(f"the upstream registry's token server issued no token (HTTP {answer.status_code})")

    async def _find_challenge(self) -> Challenge:
        """Request `/v2/` without credentials, at one address after the other."""
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
        raise GatewayFailed("the upstream registry cannot be reached to find its token server")

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
    """The challenge, if its realm may receive the password; the same without a password. Raises GatewayFailed."""
    if not may_send_password(challenge.realm, registry, allowed):
        raise GatewayFailed("the upstream registry names a token server that is not its own: list it in realms")
    return challenge


class _Unanswered(Exception):
    """There was no response; another address may answer."""
