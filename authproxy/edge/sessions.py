"""Upload sessions are addressed by a signed `Location`.

A push of many gigabytes outlives its token, so the address of a session carries who opened it: one query field that
binds repository, session, the opening token and an end. It is added to every `Location` of a session, whichever
backend made it, and taken off again before a backend sees the request.

    _session=<end, seconds since 1970>.<keyed hash of the opening credentials>.<MAC>
"""

import base64
import hmac
import re
from collections.abc import Awaitable
from dataclasses import dataclass
from urllib.parse import urlsplit

from authproxy.asgi import ORIGIN, ROUTE, App, Message, Receive, Scope, Send, find_header
from authproxy.clock import Clock
from authproxy.edge.authorize import strip_fields
from authproxy.errors import RegistryError
from authproxy.origin import Origin
from authproxy.route import Kind, Route, parse_route

FIELD = "_session"
# CNCF Distribution removes unfinished uploads after this time (uploadpurging.age).
SESSION_LIFETIME_S = 168 * 3600

_VALUE = re.compile(r"([0-9]{1,15})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Opening:
    """How an upload session was opened: until when it may live, and by whose token."""

    end: int  # seconds since 1970
    holder: str  # a keyed hash of the credentials that opened it


class SessionSigner:
    """Makes and reads the field's value."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, repository: str, session: str, opening: Opening) -> str:
        """The value for one session of one repository."""
        return f"{opening.end}.{opening.holder}.{self._mac(repository, session, opening)}"

    def read(self, repository: str, session: str, value: str) -> Opening | None:
        """What was signed for this session, or None where it was not: forged, or another session's."""
        match = _VALUE.fullmatch(value)
        if match is None:
            return None
        opening = Opening(int(match[1]), match[2])
        return opening if hmac.compare_digest(match[3], self._mac(repository, session, opening)) else None

    def hash_holder(self, authorization: str) -> str:
        """What stands for the opening credentials in an address: keyed, so that no password can be guessed from it."""
        return _text(hmac.digest(self._secret, b"holder\n" + authorization.encode("latin-1"), "sha256")[:16])

    def _mac(self, repository: str, session: str, opening: Opening) -> str:
        # None of the parts can hold a line break, so the joined text is unambiguous.
        text = f"session\n{repository}\n{session}\n{opening.end}\n{opening.holder}"
        return _text(hmac.digest(self._secret, text.encode(), "sha256"))


class SignSessions:
    """Add the signed field to the addresses of sessions that go out, take it off those that come in."""

    def __init__(self, app: App, *, signer: SessionSigner, now: Clock) -> None:
        self.app = app
        self.signer = signer
        self.now = now

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """A session keeps the opening it began with, whichever token is used later."""
        answer = self._sign if scope[ROUTE].kind in (Kind.UPLOADS, Kind.UPLOAD) else self.app
        return answer(scope, receive, send)

    async def _sign(self, scope: Scope, receive: Receive, send: Send) -> None:
        route: Route = scope[ROUTE]
        origin: Origin = scope[ORIGIN]
        opening = self._find_opening(route) or Opening(
            int(self.now()) + SESSION_LIFETIME_S,
            self.signer.hash_holder(find_header(scope["headers"], b"authorization") or ""),
        )
        scope["query_string"] = strip_fields(scope["query_string"], FIELD)

        def add_field(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    (name, self._sign_location(value.decode("latin-1"), origin, opening).encode("latin-1"))
                    if name == b"location"
                    else (name, value)
                    for name, value in message["headers"]
                ]
            return send(message)

        try:
            await self.app(scope, receive, add_field)
        except RegistryError as error:  # a chunk out of order is told where the session is
            error.headers = tuple(
                (name, self._sign_location(value, origin, opening) if name.lower() == "location" else value)
                for name, value in error.headers
            )
            raise

    def _find_opening(self, route: Route) -> Opening | None:
        value = route.parameter(FIELD)
        if value is None or route.repository is None or route.session is None:
            return None
        return self.signer.read(route.repository, route.session, value)

    def _sign_location(self, location: str, origin: Origin, opening: Opening) -> str:
        try:
            parts = urlsplit(location)
            if parts.netloc not in ("", origin.authority):
                return location  # a redirect to a storage service
            route = parse_route("GET", parts.path.removeprefix(origin.prefix).encode("latin-1"), b"")
        except (RegistryError, ValueError):
            return location  # some other address
        if route.kind is not Kind.UPLOAD or route.repository is None or route.session is None:
            return location
        value = self.signer.sign(route.repository, route.session, opening)
        return f"{location}{'&' if parts.query else '?'}{FIELD}={value}"


def _text(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
