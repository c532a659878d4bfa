"""`/token` over HTTP.

A plain ASGI endpoint, which the web application mounts: no framework parses the parameters, so a framework's own
response to a malformed one (422, at which clients give up) can't occur.
"""

from typing import ClassVar

import structlog

from authproxy.access import Grant
from authproxy.asgi import (
    CLIENT_VIEW,
    GRANT,
    ContentTooLong,
    Headers,
    Receive,
    Scope,
    Send,
    find_header,
    read_body,
    respond,
    send_whole,
)
from authproxy.authorization import basic_challenge
from authproxy.client_view import UNKNOWN
from authproxy.errors import CredentialsRefused, TokenRequestInvalid, Unsupported
from authproxy.token.anonymous_cache import AnonymousCache, CachedAnswer
from authproxy.token.audit import TokenAudit
from authproxy.token.grant import TokenAnswer, TokenService
from authproxy.token.jws import to_json
from authproxy.token.refresh import RenewalRefused
from authproxy.token.request import TokenRequest, parse_get, parse_post

log = structlog.get_logger(__name__)

# RFC 6749 §5.1: an answer with a token must not be stored.
_HEADERS = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"), (b"pragma", b"no-cache"))

# Several times the scopes of the largest push.
MAX_FORM_BYTES = 64 * 1024


class TokenEndpoint:
    """GET and POST of a token. Errors are raised: `edge/errors.py` answers them."""

    ALLOWED: ClassVar = "GET, HEAD, POST, OPTIONS"

    def __init__(self, service: TokenService, audit: TokenAudit | None = None) -> None:
        self.service = service
        self.audit = audit
        self._anonymous = AnonymousCache()
        # RFC 9110 §11.6.1: every 401 has a challenge. No client reacts to this one: clients send the credentials that
        # they have, and are sent here by the challenge of /v2/.
        self._challenge = ("WWW-Authenticate", basic_challenge(service.service))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        method = scope["method"]
        if method == "OPTIONS":  # a CORS preflight carries no credentials
            await respond(send, 204, [("Allow", self.ALLOWED), ("Cache-Control", "no-store")])
            return
        if method not in ("GET", "HEAD", "POST"):
            raise Unsupported(f"{method} is not supported here", headers=[("Allow", self.ALLOWED)])
        answered = await self._answer(scope, receive)
        # For the access log.
        scope[GRANT] = Grant(answered.answer.principal.name, token_id=answered.answer.issued.id)
        if self.audit is not None:
            self.audit.answered(scope, answered.request, answered.answer)
        await send_whole(send, 200, list(answered.headers), b"" if method == "HEAD" else answered.body)

    async def _answer(self, scope: Scope, receive: Receive) -> CachedAnswer:
        """The answer to a request; for an anonymous one, perhaps a recent answer to the same request."""
        if scope["method"] == "POST" or find_header(scope["headers"], b"authorization") is not None:
            return await self._answer_uncached(scope, receive)
        view = scope.get(CLIENT_VIEW, UNKNOWN)
        question = view.client, view.scheme, scope["query_string"]
        if (answered := self._anonymous.find(question)) is None:
            answered = await self._answer_uncached(scope, receive)
            self._anonymous.hold(question, answered)
        return answered

    async def _answer_uncached(self, scope: Scope, receive: Receive) -> CachedAnswer:
        request: TokenRequest | None = None
        try:
            request = await self._parse(scope, receive)
            answer = await self.service.answer(request, scope.get(CLIENT_VIEW, UNKNOWN))
        except CredentialsRefused as exc:
            user, reason = _user_of(request, exc), str(exc.__cause__ or exc)
            log.info("login refused", client=scope.get(CLIENT_VIEW, UNKNOWN).client, user=user, reason=reason)
            if self.audit is not None:
                self.audit.refused(scope, request, user, reason)
            raise CredentialsRefused(str(exc), detail=exc.detail, headers=[*exc.headers, self._challenge]) from exc
        return CachedAnswer(request, answer, *_as_json(answer))

    async def _parse(self, scope: Scope, receive: Receive) -> TokenRequest:
        headers = scope["headers"]
        if scope["method"] != "POST":
            return parse_get(scope["query_string"], find_header(headers, b"authorization"))
        try:
            body = await read_body(receive, MAX_FORM_BYTES)
        except ContentTooLong:
            raise TokenRequestInvalid(f"the form is larger than {MAX_FORM_BYTES} bytes") from None
        return parse_post(find_header(headers, b"content-type"), body)


def _user_of(request: TokenRequest | None, refused: CredentialsRefused) -> str:
    """The user name of refused credentials: that of a verified refresh token, or the one that the client claims."""
    if isinstance(refused.__cause__, RenewalRefused):
        return refused.__cause__.subject
    return request.user if request else ""


def _as_json(answer: TokenAnswer) -> tuple[Headers, bytes]:
    body = to_json(answer.to_json()).encode()
    return [*_HEADERS, (b"content-length", b"%d" % len(body))], body
