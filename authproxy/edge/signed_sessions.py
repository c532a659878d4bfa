"""The signed session field in the `Location` of an upload: who opened the session, and when it ends.

    _session=<end, seconds since 1970>.<credentials>.<opener>.<MAC>

A push of many gigabytes outlives its token, so the `Location` of a session records its opener and their credentials,
bound to its repository and its id. Credentials and opener are keyed hashes: a `Location` reveals no token, password or
name.

The field is added to every `Location` of a session, whichever backend made it, and removed before a backend sees the
request. So no session can be guessed, or used in another repository or by another user who may push there
(CVE-2026-32589).
"""

import base64
import hmac
import re
from collections.abc import Awaitable
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog

from authproxy.asgi import CLIENT_VIEW, GRANT, ROUTE, App, Message, Receive, Scope, Send, find_header, strip_fields
from authproxy.client_view import ClientView
from authproxy.clock import Clock
from authproxy.errors import BlobUploadInvalid, BlobUploadUnknown, RegistryError
from authproxy.route import Kind, Route, parse_route

log = structlog.get_logger(__name__)

FIELD = "_session"

_VALUE = re.compile(r"([0-9]{1,15})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})")

NOT_SIGNED_HERE = (
    "another node or an earlier start of the server signed this Location, or it was changed on its way:"
    " nodes that share a storage need the same http.secret, which must be set to survive a restart"
)


@dataclass(frozen=True, slots=True)
class SessionClaim:
    """When a session ends, and whose it is."""

    end: int  # seconds since 1970
    credentials: str  # keyed hash of the `Authorization` header that opened it
    opener: str  # keyed hash of the opener's name, which is "" for an anonymous one


class SessionSigner:
    """Signs and verifies the field's value."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def claim(self, authorization: str, subject: str, end: int) -> SessionClaim:
        """The claim to sign into the `Location` of a session that `subject` opens with these credentials."""
        return SessionClaim(end, self._hash("credentials", authorization), self._hash("opener", subject))

    def was_opened_by(self, claim: SessionClaim, subject: str) -> bool:
        """Whether it is this subject's session."""
        return hmac.compare_digest(claim.opener, self._hash("opener", subject))

    def was_opened_with(self, claim: SessionClaim, authorization: str) -> bool:
        """Whether exactly these credentials opened it."""
        return hmac.compare_digest(claim.credentials, self._hash("credentials", authorization))

    def sign(self, repository: str, session: str, claim: SessionClaim) -> str:
        """The field's value for one session of one repository."""
        return f"{claim.end}.{claim.credentials}.{claim.opener}.{self._mac(repository, session, claim)}"

    def read(self, route: Route) -> SessionClaim | None:
        """The signed claim of the route's session, or None if it is missing, forged or another session's."""
        value = route.parameter(FIELD)
        if value is None or route.kind is not Kind.UPLOAD or route.repository is None or route.session is None:
            return None
        match = _VALUE.fullmatch(value)
        if match is None:
            return None
        claim = SessionClaim(int(match[1]), match[2], match[3])
        return claim if hmac.compare_digest(match[4], self._mac(route.repository, route.session, claim)) else None

    def _hash(self, purpose: str, text: str) -> str:
        return _text(hmac.digest(self._secret, f"{purpose}\n{text}".encode("utf-8", "surrogatepass"), "sha256")[:16])

    def _mac(self, repository: str, session: str, claim: SessionClaim) -> str:
        # None of the parts can hold a line break, so the joined text is unambiguous.
        text = f"session\n{repository}\n{session}\n{claim.end}\n{claim.credentials}\n{claim.opener}"
        return _text(hmac.digest(self._secret, text.encode(), "sha256"))


class SignSessions:
    """Add the signed field to the `Location` of sessions in responses, and remove it from requests.

    A session lives for `lifetime_s` seconds: as long as the storage keeps an abandoned one.
    """

    def __init__(self, app: App, *, signer: SessionSigner, lifetime_s: int, now: Clock) -> None:
        self.app = app
        self.signer = signer
        self.lifetime_s = lifetime_s
        self.now = now

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass on, with the field removed and added. A session keeps its first claim, whichever token is used later."""
        answer = self._sign if scope[ROUTE].kind in (Kind.UPLOADS, Kind.UPLOAD) else self.app
        return answer(scope, receive, send)

    async def _sign(self, scope: Scope, receive: Receive, send: Send) -> None:
        route: Route = scope[ROUTE]
        view: ClientView = scope[CLIENT_VIEW]
        claim = self._claim_of(scope, route)
        scope["query_string"] = strip_fields(scope["query_string"], FIELD)

        def add_field(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    (name, self._sign_location(value.decode("latin-1"), view, claim).encode("latin-1"))
                    if name == b"location"
                    else (name, value)
                    for name, value in message["headers"]
                ]
            return send(message)

        try:
            await self.app(scope, receive, add_field)
        except RegistryError as error:  # the error for a chunk out of order has the session's Location
            error.headers = tuple(
                (name, self._sign_location(value, view, claim) if name.lower() == "location" else value)
                for name, value in error.headers
            )
            raise

    def _claim_of(self, scope: Scope, route: Route) -> SessionClaim:
        """The session's claim, or a new one. Raises BlobUploadUnknown and BlobUploadInvalid."""
        now, subject = self.now(), scope[GRANT].subject
        if route.kind is Kind.UPLOADS:
            authorization = find_header(scope["headers"], b"authorization") or ""
            return self.signer.claim(authorization, subject, int(now) + self.lifetime_s)
        if route.parameter(FIELD) is None:
            raise BlobUploadUnknown("an upload session is found only by its whole Location, query included")
        claim = self.signer.read(route)
        if claim is None:
            log.info(
                "upload session refused", client=scope[CLIENT_VIEW].client, subject=subject, reason=NOT_SIGNED_HERE
            )
            raise BlobUploadInvalid(f"{NOT_SIGNED_HERE}; begin the upload again")
        if not self.signer.was_opened_by(claim, subject):
            raise BlobUploadInvalid("another user opened this upload session")
        if now >= claim.end:
            raise BlobUploadUnknown("the upload session has expired")
        return claim

    def _sign_location(self, location: str, view: ClientView, claim: SessionClaim) -> str:
        try:
            parts = urlsplit(location)
            if parts.netloc not in ("", view.authority):
                return location  # a redirect to a storage service
            route = parse_route("GET", parts.path.removeprefix(view.prefix).encode("latin-1"), b"")
        except (RegistryError, ValueError):
            return location  # not a session of ours
        if route.kind is not Kind.UPLOAD or route.repository is None or route.session is None:
            return location
        value = self.signer.sign(route.repository, route.session, claim)
        return f"{location}{'&' if parts.query else '?'}{FIELD}={value}"


def _text(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
