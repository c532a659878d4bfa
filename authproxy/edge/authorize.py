"""Authorization: lets requests pass whose credentials grant all accesses that their route needs.

One layer parses the route and checks the credentials, and refuses bad credentials before it answers anything about the
path, so that without credentials every path below /v2/ looks alike.
"""

from collections.abc import Awaitable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from authproxy.access import Access, ExpiredToken, Grant, InvalidToken, pull
from authproxy.asgi import (
    CLIENT_VIEW,
    GRANT,
    ROUTE,
    App,
    Receive,
    Scope,
    Send,
    facts,
    find_header,
    respond,
    strip_fields,
)
from authproxy.authorization import Basic, Bearer, Credentials, Malformed, parse_authorization
from authproxy.client_view import ClientView
from authproxy.edge.challenge import BearerError, ChallengeMaker
from authproxy.edge.signed_sessions import SessionSigner
from authproxy.edge.unauthorized import unauthorized
from authproxy.errors import CredentialsRefused, Denied, NameInvalid, RegistryError, Unauthorized
from authproxy.principal import Principal
from authproxy.reference import Repository, parse_repository
from authproxy.route import Kind, Route, parse_route

log = structlog.get_logger(__name__)

# The maximum of repositories in which a mount without a source looks for its blob. Clients ask for one or two.
MAX_MOUNT_SOURCES = 32

# A fact of a request: its parsed Authorization header.
_CREDENTIALS = "authproxy.credentials"


class TokenVerifier(Protocol):
    """Verifies bearer tokens."""

    def verify(self, bearer: Bearer) -> Grant:
        """The token's grant. Raises InvalidToken; ExpiredToken if the token is expired and otherwise valid."""


class Authenticator(Protocol):
    """Authenticates users by name and password."""

    async def authenticate(self, name: str, password: str, client: str) -> Principal | None:
        """The user with this name and password, or None. `client` is the address of the caller.

        Raises TooManyRequests if checking can't be done in time; Unavailable if an identity source cannot be asked;
        CredentialsRefused with a reason that the client may see.
        """


class AccessPolicies(Protocol):
    """Decides what a caller may do."""

    def granted(self, principal: Principal, accesses: Iterable[Access], view: ClientView) -> frozenset[Access]:
        """Those of `accesses` that the rules allow for a request from `view`."""


class Users(Protocol):
    """Finds users by name."""

    async def find(self, name: str) -> Principal | None:
        """The user, if enabled now, or None. Raises Unavailable if an identity source cannot be asked."""


@dataclass(frozen=True, slots=True)
class Denial:
    """The missing accesses that the rules in force deny. Empty: a new token would grant them all."""

    accesses: tuple[Access, ...]
    reason: str | None = None  # a sentence of the rule's author


class Reasons(Protocol):
    """Explains why an access is denied."""

    async def deny(self, subject: str, lacking: Sequence[Access], view: ClientView) -> Denial:
        """Those of `lacking` that the rules deny to this subject; "" is anonymous."""


class BasicAccess:
    """Name and password, sent directly to /v2/: the same policies as for tokens decide on each request."""

    def __init__(self, authenticator: Authenticator, policies: AccessPolicies) -> None:
        self.authenticator = authenticator
        self.policies = policies

    async def grant(self, credentials: Basic, wanted: Iterable[Access], view: ClientView) -> Grant | None:
        """A grant of those of `wanted` that the caller may have, or None if the password is wrong."""
        principal = await self.authenticator.authenticate(credentials.user, credentials.password, view.client)
        if principal is None:
            return None
        return Grant(principal.name, self.policies.granted(principal, wanted, view), principal)


class ParseRoute:
    """Put the request's Route into its scope; used instead of `Authorize` in an open registry."""

    def __init__(self, app: App) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Parse, or raise the error of the protocol."""
        scope[ROUTE] = parse_route(scope["method"], scope["raw_path"], scope["query_string"])
        return self.app(scope, receive, send)


class Authorize:
    """Check a request against its credentials and put Route and Grant into its scope.

    `verifier` None: bearer tokens are not accepted; `basic` None: passwords are not. The token that opened an upload
    session is accepted for that session until the session ends, even if the token expires: no push fails because its
    token expired. It fails once its subject is removed or disabled, unless `users` is None: the tokens are another
    server's, and only that server knows its users.
    """

    def __init__(
        self,
        app: App,
        *,
        challenge: ChallengeMaker,
        sessions: SessionSigner,
        verifier: TokenVerifier | None = None,
        basic: BasicAccess | None = None,
        reasons: Reasons | None = None,
        users: Users | None = None,
    ) -> None:
        self.app = app
        self.challenge = challenge
        self.sessions = sessions
        self.verifier = verifier
        self.basic = basic
        self.reasons = reasons
        self.users = users

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Parse the route, check the credentials, then compare what is granted with what is needed."""
        if scope["method"] == "OPTIONS":  # a CORS preflight carries no credentials
            await respond(send, 204, [("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")])
            return
        route: Route | None = None
        refusal: RegistryError | None = None
        try:
            route = parse_route(scope["method"], scope["raw_path"], scope["query_string"])
            scope[ROUTE] = route  # for the layers that record a refusal
        except RegistryError as exc:
            refusal = exc
        credentials = credentials_of(scope)
        grant = await self._identify(credentials, scope, route)
        if refusal is not None:
            raise refusal
        assert route is not None
        scope[GRANT] = grant
        if lacking := grant.lacks(route.needs):
            is_basic = isinstance(credentials, Basic)
            message = await self._say_why(grant, lacking, scope[CLIENT_VIEW], by_token=not is_basic)
            if is_basic:  # the policies decided just now: no token would grant more
                raise Denied(message)
            raise self._unauthorized(scope[CLIENT_VIEW], route.needs, "insufficient_scope", message)
        if route.kind is Kind.UPLOADS:
            scope[ROUTE] = _allow_mount(scope, route, grant)
        await self.app(scope, receive, send)

    async def _say_why(self, grant: Grant, lacking: tuple[Access, ...], view: ClientView, *, by_token: bool) -> str:
        if by_token and self.reasons is None:  # only the other server knows what the subject may do
            return f"this token does not allow you to {_in_words(lacking)}"
        denial = Denial(lacking) if self.reasons is None else await self.reasons.deny(grant.subject, lacking, view)
        if by_token and not denial.accesses:
            return f"this token does not allow you to {_in_words(lacking)}, but a new token for that would"
        message = f"{grant.subject or 'anonymous'} may not {_in_words(denial.accesses or lacking)}"
        return f"{message}: {denial.reason}" if denial.reason else message

    async def _identify(self, credentials: Credentials, scope: Scope, route: Route | None) -> Grant:
        view, wanted = scope[CLIENT_VIEW], _wanted(route) if route else ()
        match credentials:
            case None:
                needs = route.needs if route else ()
                raise self._unauthorized(view, wanted, None, f"authentication required{_for(needs)}")
            case Bearer() if self.verifier is not None:
                try:
                    return self.verifier.verify(credentials)
                except ExpiredToken as exc:
                    if not self._opened(scope, route):
                        raise self._refused(str(exc), view, wanted) from exc
                    if not await self._still_exists(exc.grant.subject):
                        raise self._refused("expired, and its subject no longer exists", view, wanted) from exc
                    return exc.grant
                except InvalidToken as exc:
                    raise self._refused(str(exc), view, wanted) from exc
            case Basic() if self.basic is not None:
                return await self._log_in(self.basic, credentials, wanted, view)
            case Basic() | Bearer() | Malformed():
                raise self._unauthorized(view, wanted, "invalid_token", "these credentials are not supported here")

    async def _log_in(
        self, basic: BasicAccess, credentials: Basic, wanted: tuple[Access, ...], view: ClientView
    ) -> Grant:
        refused = CredentialsRefused()
        try:
            grant = await basic.grant(credentials, wanted, view)
        except CredentialsRefused as exc:
            grant, refused = None, exc
        if grant is None:
            reason = str(refused.__cause__ or refused)
            log.info("login refused", client=view.client, user=credentials.user, reason=reason)
            raise self._unauthorized(view, wanted, None, str(refused)) from refused.__cause__
        return grant

    def _opened(self, scope: Scope, route: Route | None) -> bool:
        """Whether these credentials opened the upload session of the request; `SignSessions` checks everything else."""
        claim = self.sessions.read(route) if route is not None else None
        authorization = find_header(scope["headers"], b"authorization") or ""
        return claim is not None and self.sessions.was_opened_with(claim, authorization)

    async def _still_exists(self, subject: str) -> bool:
        """Whether a subject exists and is enabled. The subject of an anonymous token always is."""
        return not subject or self.users is None or await self.users.find(subject) is not None

    def _refused(self, reason: str, view: ClientView, needs: tuple[Access, ...]) -> Unauthorized:
        log.info("token refused", client=view.client, reason=reason)
        return self._unauthorized(view, needs, "invalid_token", "the token is invalid or expired")

    def _unauthorized(
        self, view: ClientView, needs: tuple[Access, ...], error: BearerError, message: str
    ) -> Unauthorized:
        return unauthorized(self.challenge, view, needs, error, message)


def credentials_of(scope: Scope) -> Credentials:
    """The credentials in the `Authorization` header of a request, parsed once."""
    known = facts(scope)
    if _CREDENTIALS not in known:
        known[_CREDENTIALS] = parse_authorization(find_header(scope["headers"], b"authorization"))
    found: Credentials = known[_CREDENTIALS]
    return found


def _wanted(route: Route) -> tuple[Access, ...]:
    """The accesses that a request needs, and `pull` on the sources of a mount, without which it is a plain upload."""
    sources = route.mount.sources or () if route.mount is not None else ()
    return (*route.needs, *map(pull, sources))


def _allow_mount(scope: Scope, route: Route, grant: Grant) -> Route:
    """Keep the mount of an upload only if the caller may pull its source; a plain upload is always allowed.

    A mount without a source is kept for our own backend, with the only sources in which it may look. It is removed
    from the query that a backend may forward: another registry can't know what this caller may pull. A source that is
    not readable looks like one that does not exist (CVE-2024-39897).
    """
    if route.mount and route.mount.sources and not grant.lacks(tuple(map(pull, route.mount.sources))):
        return route
    scope["query_string"] = strip_fields(scope["query_string"], "mount", "from")
    stripped = route.without_mount()
    if route.mount and route.mount.sources is None:
        return replace(stripped, mount=replace(route.mount, sources=_readable(grant)))
    return stripped


def _readable(grant: Grant) -> tuple[Repository, ...]:
    """The repositories that a grant allows to pull, sorted; at most MAX_MOUNT_SOURCES."""
    names = sorted({access.name for access in grant.allowed if access.type == "repository"})
    found: list[Repository] = []
    for name in names:
        with suppress(NameInvalid):  # a foreign token server may use names that are not valid here
            if grant.covers(pull(name)):
                found.append(parse_repository(name))
    return tuple(found[:MAX_MOUNT_SOURCES])


def _for(needs: tuple[Access, ...]) -> str:
    return f" to {_in_words(needs)}" if needs else ""


def _in_words(accesses: tuple[Access, ...]) -> str:
    actions = " and ".join(access.action for access in accesses if access.type == "repository")
    if not actions:
        return "read the catalog"
    return f"{actions} {accesses[0].name}"
