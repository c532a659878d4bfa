"""Bearer tokens for the upstream: fetched from its realm, or made by us. Each is used again until it ends."""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

from authproxy.access import Access, format_scopes
from authproxy.bounded_cache import Bounded
from authproxy.clock import Clock
from authproxy.errors import GatewayFailed
from authproxy.http.client.address import Address
from authproxy.http.client.challenge import Challenge, may_ask, parse_challenge
from authproxy.proxy.credentials import FixedBasic

# Docker token authentication: without `expires_in` a token is good for a minute.
DEFAULT_LIFETIME_S = 60

# Whatever a token server says: past it the token is fetched again.
MAX_LIFETIME_S = 24 * 60 * 60

# A token is used for so much of its life: what is sent now is verified a moment later, by another clock.
USED_FOR = 0.8

# One that was refused when it was younger, in seconds, would be no better if it were new.
FRESH_FOR_S = 2.0

REMEMBERED_BYTES = 4 * 1024 * 1024
MAX_ANSWER_BYTES = 256 * 1024
TIMEOUT_S = 30

OK, UNAUTHORIZED = 200, 401


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and for how many seconds from now it is good."""

    text: str = field(repr=False)
    lifetime_s: float


class Minter(Protocol):
    """Signs tokens that the upstream verifies."""

    def mint(self, needs: Sequence[Access]) -> Token:
        """A token for exactly this. Raises RegistryError where no key signs."""


@dataclass(frozen=True, slots=True)
class _Known:
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
        self._known: Bounded[Hashable, _Known] = Bounded(REMEMBERED_BYTES)
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
        if not token.text.isascii() or not token.text.isprintable():
            raise GatewayFailed("the upstream registry's token server answered with a token that no header can hold")
        now = self._now()
        value = f"Bearer {token.text}".encode()
        self._known.put(key, _Known(value, now, now + USED_FOR * token.lifetime_s), len(value) + 200)
        return value


def minted_bearer(minter: Minter, now: Clock) -> Bearer:
    """Tokens that we sign ourselves."""

    async def mint(needs: Sequence[Access]) -> Token:
        return minter.mint(needs)

    return Bearer(mint, now)


class Realm:
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
        """A token for this. Raises GatewayFailed where none is to be had."""
        if self._challenge is None:
            self._challenge = await self._find_challenge()
        challenge = self._challenge
        query = [("scope", scope) for scope in format_scopes(needs)]
        if challenge.service is not None:
            query.insert(0, ("service", challenge.service))
        headers = {} if self._login is None else {"Authorization": self._login.value.decode()}
        try:
            status, _, body = await self._get(challenge.realm, headers, query)
        except _Unanswered as exc:
            raise GatewayFailed("the upstream registry's token server cannot be reached") from exc
        if status == OK and (token := read_token(body)) is not None:
            return token
        self._challenge = None  # perhaps it has moved
        if status == UNAUTHORIZED:
            raise GatewayFailed("the upstream registry's token server does not take the credentials it is sent")
        raise GatewayFailed(f"the upstream registry's token server gave no token (HTTP {status})")

    async def _find_challenge(self) -> Challenge:
        """Ask `/v2/` without credentials, at one address after the other."""
        for address in self._addresses:
            with suppress(_Unanswered):
                status, headers, _ = await self._get(f"{address.url}/v2/", {})
                challenge = parse_challenge(headers.get_list("www-authenticate"))
                if status != UNAUTHORIZED or challenge is None:
                    raise GatewayFailed(
                        f"the upstream registry asks for no token (HTTP {status}): set authorization to strip or basic"
                    )
                if not may_ask(challenge.realm, self._addresses, self._allowed):
                    raise GatewayFailed(
                        "the upstream registry sends us to a token server that is not its own: name it in realms"
                    )
                return challenge
        raise GatewayFailed("the upstream registry cannot be asked where its tokens come from")

    async def _get(
        self, text: str, headers: dict[str, str], query: Sequence[tuple[str, str]] = ()
    ) -> tuple[int, httpx.Headers, bytes]:
        try:
            url = httpx.URL(text).copy_merge_params(httpx.QueryParams(tuple(query)))
        except httpx.InvalidURL as exc:
            raise GatewayFailed("the upstream registry's token server is at an address that is none") from exc
        is_own = any(url.host == address.host for address in self._addresses) and self._tls is not None
        tls = self._tls if is_own and self._tls is not None else self._foreign_tls
        name = {"sni_hostname": self._server_name} if is_own and self._server_name else {}
        # Never unpacked: what is short on the wire may be long in memory before it can be counted.
        headers = {**headers, "Accept-Encoding": "identity"}
        body = bytearray()
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                httpx.AsyncClient(verify=tls, trust_env=False, timeout=TIMEOUT_S) as client,
                client.stream("GET", url, headers=headers, extensions=name) as answer,
            ):
                async for piece in answer.aiter_raw():
                    body += piece
                    if len(body) > MAX_ANSWER_BYTES:
                        raise GatewayFailed("the upstream registry's token server answered with far too much")
        except (TimeoutError, httpx.HTTPError) as exc:
            raise _Unanswered from exc
        return answer.status_code, answer.headers, bytes(body)


class _Unanswered(Exception):
    """Nobody answered: another address may."""


def read_token(body: bytes) -> Token | None:
    """The answer of a token server: `token`, or OAuth2's `access_token`, with `expires_in` in seconds."""
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    match answer:
        case {"token": str(text)} if text:
            pass
        case {"access_token": str(text)} if text:
            pass
        case _:
            return None
    lifetime = answer.get("expires_in")
    if not isinstance(lifetime, int | float) or isinstance(lifetime, bool) or lifetime != lifetime:  # noqa: PLR0124 - NaN
        lifetime = DEFAULT_LIFETIME_S
    return Token(text, float(min(max(lifetime, 0), MAX_LIFETIME_S)))
