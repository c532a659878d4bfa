"""From a request to an answer: who asks, what the policies grant of the wish, and the token that says so."""

import datetime as dt
import functools
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from authproxy.access import Access, Grant, InvalidToken, format_scopes
from authproxy.audit.event import Verdict
from authproxy.authorization import Basic
from authproxy.client_view import UNKNOWN, ClientView
from authproxy.errors import CredentialsRefused, TokenRequestInvalid, TooManyRequests
from authproxy.principal import ANONYMOUS, Principal
from authproxy.token.issuer import IssuedToken
from authproxy.token.refresh import RefreshTokens
from authproxy.token.request import Renewal, TokenRequest
from authproxy.token.revocations import LEARNED_WITHIN_S, NobodyRevoked, Revocations

# Proxies and servers take headers of 8 KiB, some less; the token shares them with the rest of a request.
MAX_TOKEN_BYTES = 6000


class Identities(Protocol):
    """Knows users."""

    async def authenticate(self, name: str, password: str, client: str) -> Principal | None:
        """Who this is, asked from the address `client`, or None.

        Raises TooManyRequests; Unavailable if a source of users cannot be asked; CredentialsRefused with a reason for
        the client.
        """

    async def find(self, name: str) -> Principal | None:
        """The enabled user as of now, or None. Raises Unavailable as well."""


@dataclass(frozen=True, slots=True)
class TokenDecision:
    """What the policies say to requested accesses, all of it by the same rules."""

    granted: tuple[Access, ...]  # what is allowed of it: see `within`
    holder: Principal  # as much of the caller as a rule may ask of the token later
    lifetime_s: int | None = None  # the most for a token that grants this; None: as long as any other
    verdicts: tuple[Verdict, ...] = ()  # on each single action, and why


class TokenPolicies(Protocol):
    """Decides what a caller may do."""

    def decide(self, principal: Principal, accesses: tuple[Access, ...], view: ClientView) -> TokenDecision:
        """What the caller gets of `accesses`, asked for from `view`."""


class AccessTokens(Protocol):
    """Signs access tokens."""

    def issue(self, holder: Principal, accesses: Iterable[Access], max_lifetime_s: int | None = None) -> IssuedToken:
        """A signed token that tells this of its holder, good for no longer than that."""


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What the client gets."""

    issued: IssuedToken
    granted: tuple[Access, ...]
    refresh_token: str | None = field(default=None, repr=False)
    shows_scope: bool = False
    principal: Principal = field(default=ANONYMOUS, repr=False)  # who asked, for the audit log
    verdicts: tuple[Verdict, ...] = ()  # why no more was granted, for the same

    def to_json(self) -> dict[str, Any]:
        """Docker token authentication, "Token Response Fields"; `scope` as in RFC 6749 §5.1."""
        content: dict[str, Any] = {
            "token": self.issued.token,
            "access_token": self.issued.token,
            "expires_in": self.issued.expires_in,
            "issued_at": _rfc3339(self.issued.issued_at),
        }
        if self.shows_scope:
            content["scope"] = " ".join(format_scopes(self.granted))
        if self.refresh_token is not None:
            content["refresh_token"] = self.refresh_token
        return content


@dataclass(frozen=True, slots=True)
class TokenService:
    """The token server without HTTP. `service` is the one audience that tokens are made for.

    `gives_refresh` False: no refresh token is given out, and none is taken.
    """

    service: str
    identities: Identities
    policies: TokenPolicies
    issuer: AccessTokens
    refresh: RefreshTokens
    revocations: Revocations = field(default_factory=NobodyRevoked)
    gives_refresh: bool = True

    async def answer(self, request: TokenRequest, view: ClientView = UNKNOWN) -> TokenAnswer:
        """Answer one request that came from there. A grant smaller than the wish, be it empty, is no error.

        Raises CredentialsRefused, TokenRequestInvalid, TooManyRequests, Unavailable.
        """
        if request.service is not None and request.service != self.service:
            raise TokenRequestInvalid(f"this service is not served here; served: {self.service}")
        principal, proved_at = await self._identify(request, view.client)
        decision = self.policies.decide(principal, request.accesses, view)
        issued = self.issuer.issue(decision.holder, decision.granted, decision.lifetime_s)
        if self.revocations.refuses(principal.name, issued.issued_at):
            message = f"the tokens of {principal.name} are being revoked; come back in {LEARNED_WITHIN_S} seconds"
            raise TooManyRequests(message, retry_after_s=LEARNED_WITHIN_S)
        if len(issued.token) > MAX_TOKEN_BYTES:
            raise TokenRequestInvalid(
                f"a token for these scopes has {len(issued.token)} bytes, more than {MAX_TOKEN_BYTES};"
                " ask for fewer at a time"
            )
        wants_refresh = self.gives_refresh and request.offline and not principal.is_anonymous
        refresh_token = self.refresh.issue(principal, proved_at) if wants_refresh else None
        return TokenAnswer(issued, decision.granted, refresh_token, request.shows_scope, principal, decision.verdicts)

    async def _identify(self, request: TokenRequest, client: str) -> tuple[Principal, int | None]:
        """Who asks, and when their password was proved (None: now)."""
        match request.credentials:
            case None:
                return ANONYMOUS, None
            case Basic(name, password):
                principal = await self.identities.authenticate(name, password, client)
                if principal is None:
                    raise CredentialsRefused
                return principal, None
            case Renewal(token):
                return await self._renew(token)

    async def _renew(self, token: str) -> tuple[Principal, int]:
        """The user of a refresh token, looked up again: groups may have changed, the password must not have."""
        if not self.gives_refresh:
            raise CredentialsRefused("refresh tokens are switched off here; sign in again with name and password")
        try:
            refresh = self.refresh.read(token)
        except InvalidToken as exc:
            raise CredentialsRefused("this login has ended; log in again") from exc
        if self.revocations.refuses(refresh.subject, refresh.issued_at):
            raise CredentialsRefused("this login has ended; log in again")
        principal = await self.identities.find(refresh.subject)
        if principal is None or not hmac.compare_digest(principal.stamp.encode(), refresh.stamp.encode()):
            raise CredentialsRefused("this login has ended; log in again")
        return principal, refresh.issued_at


@functools.lru_cache(maxsize=16)
def _rfc3339(moment: int) -> str:
    return dt.datetime.fromtimestamp(moment, dt.UTC).isoformat().replace("+00:00", "Z")


def within(wanted: Sequence[Access], allowed: frozenset[Access]) -> tuple[Access, ...]:
    """What is in the wish and allowed, in the order of the wish; a wish of `*` takes each action that is allowed."""
    wish = Grant("", frozenset(wanted))
    order = {access: place for place, access in enumerate(wanted)}
    found = (access for access in allowed if wish.covers(access))
    return tuple(sorted(found, key=lambda access: (order.get(access, len(order)), access)))
