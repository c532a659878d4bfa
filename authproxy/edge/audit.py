"""Audit events of requests below /v2/: refused requests, and refused logins."""

from authproxy.access import Grant
from authproxy.asgi import GRANT, ROUTE, App, Receive, Scope, Send
from authproxy.audit.event import Event, EventKind, Record, Verdict, came_from
from authproxy.authorization import Basic, Credentials
from authproxy.edge.authorize import credentials_of
from authproxy.errors import Denied, RegistryError, Unauthorized
from authproxy.permissions import RefusedByRule
from authproxy.principal import Principal
from authproxy.route import Route


class AuditRefusals:
    """Record the refusals of the inner layers, and raise them again.

    A refused request without credentials is not recorded: every client learns in this way where to get tokens.
    """

    def __init__(self, app: App, *, record: Record) -> None:
        self.app = app
        self.record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and record a refusal."""
        try:
            await self.app(scope, receive, send)
        except (Denied, Unauthorized) as exc:
            if credentials := credentials_of(scope):
                self.record(_event(scope, credentials, exc))
            raise


def _event(scope: Scope, credentials: Credentials, error: RegistryError) -> Event:
    grant: Grant | None = scope.get(GRANT)
    route: Route | None = scope.get(ROUTE)
    is_login = grant is None and isinstance(credentials, Basic)
    return Event(
        EventKind.LOGIN_REFUSED if is_login else EventKind.REQUEST_DENIED,
        _who(credentials, grant),
        **came_from(scope),
        asked=route.needs if route is not None else (),
        token_id=grant.token_id if grant is not None else "",
        verdicts=_verdicts(credentials, grant, route, error.__cause__),
        # The cause, why a token is invalid, is for operators; the client does not get it.
        reason=f"{error}: {error.__cause__}" if error.__cause__ else str(error),
        method=scope["method"],
        path=scope["path"],
    )


def _who(credentials: Credentials, grant: Grant | None) -> Principal:
    """The caller, complete if they sent a password. With a token, only the name: its issue's event has the groups."""
    if isinstance(credentials, Basic):
        return grant.holder if grant is not None and grant.holder is not None else Principal(credentials.user)
    return Principal(grant.subject if grant is not None else "")


def _verdicts(
    credentials: Credentials, grant: Grant | None, route: Route | None, cause: BaseException | None
) -> tuple[Verdict, ...]:
    """The decisions made for this request: those that no scope can express; with a password, all of them."""
    if isinstance(cause, RefusedByRule):
        reason = "" if cause.rule else str(cause)
        return (Verdict(cause.access, allowed=False, rule=cause.rule, reason=reason, tag=cause.tag or ""),)
    if grant is None or route is None or not isinstance(credentials, Basic) or not grant.lacks(route.needs):
        return ()
    return tuple(
        Verdict(access, allowed=True) if grant.covers(access) else Verdict(access, allowed=False, reason="not granted")
        for access in route.needs
    )
