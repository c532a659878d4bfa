"""What the audit log is told of requests below /v2/: those that were refused, and logins that came with them."""

from authproxy.access import Grant
from authproxy.asgi import GRANT, ORIGIN, ROUTE, App, Receive, Scope, Send, find_header
from authproxy.audit.event import Event, Kind, Record
from authproxy.authorization import Basic, parse_authorization
from authproxy.errors import Denied, RegistryError, Unauthorized
from authproxy.principal import Principal


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
            if authorization := find_header(scope["headers"], b"authorization"):
                self.record(_event(scope, authorization, exc))
            raise


def _event(scope: Scope, authorization: str, error: RegistryError) -> Event:
    grant, route = scope.get(GRANT), scope.get(ROUTE)
    credentials = parse_authorization(authorization)
    is_login = grant is None and isinstance(credentials, Basic)
    return Event(
        Kind.LOGIN_REFUSED if is_login else Kind.REQUEST_DENIED,
        # What a token says of its holder is the name; groups and rules are in the line of its issue.
        Principal(credentials.user if isinstance(credentials, Basic) else _subject(grant)),
        client=scope[ORIGIN].client,
        request_id=find_header(scope["headers"], b"x-request-id") or "",
        asked=route.needs if route is not None else (),
        # Why a token proves nothing is not the client's to know.
        reason=f"{error}: {error.__cause__}" if error.__cause__ else str(error),
        method=scope["method"],
        path=scope["path"],
    )


def _subject(grant: Grant | None) -> str:
    return grant.subject if grant is not None else ""
