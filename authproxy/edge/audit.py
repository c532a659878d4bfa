"""Audit events of requests below /v2/: refused requests, and logins that came with them."""

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
    """Record what the layers behind refuse, and let it pass.

    A request without credentials is no refusal: that is how every client finds out where tokens are given.
    """

    def __init__(self, app: App, *, record: Record) -> None:
        self.app = app
        self.record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and look at what is raised."""
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
        # Why a token proves nothing is not the client's to know.
        reason=f"{error}: {error.__cause__}" if error.__cause__ else str(error),
        method=scope["method"],
        path=scope["path"],
    )


def _who(credentials: Credentials, grant: Grant | None) -> Principal:
    """All of a caller who brought a password. Of one with a token the name: groups are in the line of its issue."""
    if isinstance(credentials, Basic):
        return grant.holder if grant is not None and grant.holder is not None else Principal(credentials.user)
    return Principal(grant.subject if grant is not None else "")


def _verdicts(
    credentials: Credentials, grant: Grant | None, route: Route | None, cause: BaseException | None
) -> tuple[Verdict, ...]:
    """What the policies said just now: of what no scope can say, and with a password, which has no token, of all."""
    if isinstance(cause, RefusedByRule):
        reason = "" if cause.rule else str(cause)
        return (Verdict(cause.access, allowed=False, rule=cause.rule, reason=reason, tag=cause.tag or ""),)
    if grant is None or route is None or not isinstance(credentials, Basic) or not grant.lacks(route.needs):
        return ()
    return tuple(
        Verdict(access, allowed=True) if grant.covers(access) else Verdict(access, allowed=False, reason="not granted")
        for access in route.needs
    )
