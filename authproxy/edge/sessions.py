"""Upload sessions are used by their signed `Location` alone, and by whoever opened them.

The signed field (`opening.py`) is added to every `Location` of a session, whichever backend made it, and taken off
again before a backend sees the request. So no session can be guessed, or used from another repository or by somebody
else who may push there (CVE-2026-32589).
"""

from collections.abc import Awaitable
from urllib.parse import urlsplit

import structlog

from authproxy.asgi import CLIENT_VIEW, GRANT, ROUTE, App, Message, Receive, Scope, Send, find_header, strip_fields
from authproxy.client_view import ClientView
from authproxy.clock import Clock
from authproxy.edge.opening import FIELD, Opening, SessionSigner
from authproxy.errors import BlobUploadInvalid, BlobUploadUnknown, RegistryError
from authproxy.route import Kind, Route, parse_route

log = structlog.get_logger(__name__)

NOT_SIGNED_HERE = (
    "another node or an earlier start of the server signed this Location, or it was changed on its way:"
    " nodes that share a storage need the same http.secret, which outlives a start as well"
)


class SignSessions:
    """Add the signed field to the addresses of sessions that go out, take it off those that come in.

    A session lives `lifetime_s` seconds: as long as the storage keeps one that was given up.
    """

    def __init__(self, app: App, *, signer: SessionSigner, lifetime_s: int, now: Clock) -> None:
        self.app = app
        self.signer = signer
        self.lifetime_s = lifetime_s
        self.now = now

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """A session keeps the opening it began with, whichever token is used later."""
        answer = self._sign if scope[ROUTE].kind in (Kind.UPLOADS, Kind.UPLOAD) else self.app
        return answer(scope, receive, send)

    async def _sign(self, scope: Scope, receive: Receive, send: Send) -> None:
        route: Route = scope[ROUTE]
        view: ClientView = scope[CLIENT_VIEW]
        opening = self._opening(scope, route)
        scope["query_string"] = strip_fields(scope["query_string"], FIELD)

        def add_field(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    (name, self._sign_location(value.decode("latin-1"), view, opening).encode("latin-1"))
                    if name == b"location"
                    else (name, value)
                    for name, value in message["headers"]
                ]
            return send(message)

        try:
            await self.app(scope, receive, add_field)
        except RegistryError as error:  # a chunk out of order is told where the session is
            error.headers = tuple(
                (name, self._sign_location(value, view, opening) if name.lower() == "location" else value)
                for name, value in error.headers
            )
            raise

    def _opening(self, scope: Scope, route: Route) -> Opening:
        """That of the session, or a new one. Raises BlobUploadUnknown and BlobUploadInvalid."""
        now, subject = self.now(), scope[GRANT].subject
        if route.kind is Kind.UPLOADS:
            authorization = find_header(scope["headers"], b"authorization") or ""
            return self.signer.open(authorization, subject, int(now) + self.lifetime_s)
        if route.parameter(FIELD) is None:
            raise BlobUploadUnknown("an upload session is found by its whole Location alone, query included")
        opening = self.signer.read(route)
        if opening is None:
            log.info(
                "upload session refused", client=scope[CLIENT_VIEW].client, subject=subject, reason=NOT_SIGNED_HERE
            )
            raise BlobUploadInvalid(f"{NOT_SIGNED_HERE}; begin the upload again")
        if not self.signer.was_opened_by(opening, subject):
            raise BlobUploadInvalid("somebody else opened this upload session")
        if now >= opening.end:
            raise BlobUploadUnknown("the upload session has ended by its age")
        return opening

    def _sign_location(self, location: str, view: ClientView, opening: Opening) -> str:
        try:
            parts = urlsplit(location)
            if parts.netloc not in ("", view.authority):
                return location  # a redirect to a storage service
            route = parse_route("GET", parts.path.removeprefix(view.prefix).encode("latin-1"), b"")
        except (RegistryError, ValueError):
            return location  # some other address
        if route.kind is not Kind.UPLOAD or route.repository is None or route.session is None:
            return location
        value = self.signer.sign(route.repository, route.session, opening)
        return f"{location}{'&' if parts.query else '?'}{FIELD}={value}"
