"""From a token request to its answer: authenticates the caller, asks the policies, and issues the token."""

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
from authproxy.token.refresh import RefreshTokens, RenewalRefused
from authproxy.token.request import Renewal, TokenRequest
from authproxy.token.revocations import LEARNED_WITHIN_S, NobodyRevoked, Revocations

# Proxies and servers accept 8 KiB of headers, some less; the token shares them with the other headers of a request.
MAX_TOKEN_BYTES = 6000


class Identities(Protocol):
    """Authenticates and finds users."""

    async def authenticate(self, name: str, password: str, client: str) -> Principal | None:
        """The user with this name and password, or None. `client` is the address of the caller.

        Raises TooManyRequests; Unavailable if an identity source cannot be asked; CredentialsRefused with a reason
        that the client may see.
        """

    async def find(self, name: str) -> Principal | None:
        """The user, if there is one that is enabled now, or None. Raises Unavailable as well."""


@dataclass(frozen=True, slots=True)
class TokenDecision:
    """The policies' decision on requested accesses, all by the same rules."""

    granted: tuple[Access, ...]  # the allowed part of the request: see `within`
    holder: Principal  # the caller, with those attributes that a rule may need at a later request
    lifetime_s: int | None = None  # the maximum for a token that grants this; None: no maximum of its own
    verdicts: tuple[Verdict, ...] = ()  # on each single action, and why


class TokenPolicies(Protocol):
    """Decides what a caller may do."""

    def decide(self, principal: Principal, accesses: tuple[Access, ...], view: ClientView) -> TokenDecision:
        """Which of `accesses` the caller gets, at a request from `view`."""


class AccessTokens(Protocol):
    """Signs access tokens."""

    def issue(self, holder: Principal, accesses: Iterable[Access], max_lifetime_s: int | None = None) -> IssuedToken:
        """A signed token with these attributes of its holder, valid for at most that long."""


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """The answer to a client."""

    issued: IssuedToken
    granted: tuple[Access, ...]
    refresh_token: str | None = field(default=None, repr=False)
    shows_scope: bool = False
    principal: Principal = field(default=ANONYMOUS, repr=False)  # the caller, for the audit log
    verdicts: tuple[Verdict, ...] = ()  # why no more was granted, for the audit log

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
    """The token server without HTTP. `service` is the audience of all its tokens.

    `gives_refresh` False: no refresh token is issued, and none is accepted. `is_at_registry` False: the host of a
    request may be another one than the registry's.
    """

    service: str
    identities: Identities
    policies: TokenPolicies
    issuer: AccessTokens
    refresh: RefreshTokens
    revocations: Revocations = field(default_factory=NobodyRevoked)
    gives_refresh: bool = True
    is_at_registry: bool = True

    async def answer(self, request: TokenRequest, view: ClientView = UNKNOWN) -> TokenAnswer:
        """Answer one request. A grant that is smaller than the request, even empty, is no error.

        Raises CredentialsRefused, TokenRequestInvalid, TooManyRequests, Unavailable.
        """
        if request.service is not None and request.service != self.service:
            raise TokenRequestInvalid(f"this service is not served here; served: {self.service}")
        principal, proved_at = await self._identify(request, view)
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

    async def _identify(self, request: TokenRequest, view: ClientView) -> tuple[Principal, int | None]:
        """The caller, and when the password was proved (None: now)."""
        match request.credentials:
            case None:
                return ANONYMOUS, None
            case Basic(name, password):
                principal = await self.identities.authenticate(name, password, view.client)
                if principal is None:
                    raise CredentialsRefused
                return principal, None
            case Renewal(token):
                return await self._renew(token, view)

    async def _renew(self, token: str, view: ClientView) -> tuple[Principal, int]:
        """The user of a refresh token, looked up again: groups may have changed, the password must not have."""
        if not self.gives_refresh:
            raise CredentialsRefused("refresh tokens are switched off here; sign in again with name and password")
        # Every reason gets the same answer: a token is no means to learn about its user.
        ended = CredentialsRefused(f"this login has ended; log in again{self._command(view)}")
        try:
            refresh = self.refresh.read(token)
        except InvalidToken as exc:
            raise ended from exc
        subject = refresh.subject
        if self.revocations.refuses(subject, refresh.issued_at):
            raise ended from RenewalRefused(subject, "the login was revoked")
        principal = await self.identities.find(subject)
        if principal is None:
            raise ended from RenewalRefused(subject, "the user was removed, is disabled or has expired")
        if not hmac.compare_digest(principal.stamp.encode(), refresh.stamp.encode()):
            raise ended from RenewalRefused(subject, "the password was changed since")
        return principal, refresh.issued_at

    def _command(self, view: ClientView) -> str:
        """What to type to log in, if the registry's host is known."""
        return f": docker login {view.authority}" if self.is_at_registry and view.authority else ""


@functools.lru_cache(maxsize=16)
def _rfc3339(moment: int) -> str:
    return dt.datetime.fromtimestamp(moment, dt.UTC).isoformat().replace("+00:00", "Z")


def within(wanted: Sequence[Access], allowed: frozenset[Access]) -> tuple[Access, ...]:
    """The wanted accesses that are allowed, in their order; `*` means every allowed action."""
    request = Grant("", frozenset(wanted))
    order = {access: place for place, access in enumerate(wanted)}
    found = (access for access in allowed if request.covers(access))
    return tuple(sorted(found, key=lambda access: (order.get(access, len(order)), access)))
