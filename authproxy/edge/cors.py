"""CORS: which web pages of other sites may send requests, and what they may read of the responses.

The Fetch standard, "CORS protocol" (https://fetch.spec.whatwg.org/#http-cors-protocol). The browser enforces the rules,
not we: a request from a page that is not allowed is answered like any other, without the headers that let it be read.
"""

from collections.abc import Awaitable, Iterable

from authproxy.asgi import App, Headers, Receive, Scope, Send, encode_headers, facts, find_header, respond

ANY = "*"

# For a page that is not allowed, and for clients that are no page: the response depends on the origin.
_NOTHING: Headers = [(b"vary", b"Origin")]


class Cors:
    """The headers that `http.cors` adds to responses. With `*` among `origins` every page is allowed."""

    def __init__(
        self,
        *,
        origins: Iterable[str],
        methods: Iterable[str],
        headers: Iterable[str],
        exposed: Iterable[str],
        max_age_s: int,
        allow_credentials: bool,
    ) -> None:
        """`origins`: scheme, host and port in lower case, as browsers write them."""
        self._origins = frozenset(origins)
        shared = [("Access-Control-Expose-Headers", ", ".join(exposed))]
        if allow_credentials:
            shared.append(("Access-Control-Allow-Credentials", "true"))
        self._shared = encode_headers((name, value) for name, value in shared if value)
        self._preflight = encode_headers(
            [
                ("Access-Control-Allow-Methods", ", ".join(methods)),
                ("Access-Control-Allow-Headers", ", ".join(headers)),
                ("Access-Control-Max-Age", str(max_age_s)),
            ]
        )

    def complete(self, headers: Headers, scope: Scope) -> Headers:
        """The headers of a response, with ours instead of any CORS headers of an upstream."""
        known = facts(scope)
        allowed: Headers | None = known.get(self)
        if allowed is None:
            allowed = known[self] = self._decide(find_header(scope["headers"], b"origin"))
        kept = [pair for pair in headers if not pair[0].startswith(b"access-control-")]
        if allowed is not _NOTHING and is_preflight(scope):
            return [*kept, *allowed, *self._preflight]
        return [*kept, *allowed]

    def _decide(self, origin: str | None) -> Headers:
        if ANY in self._origins:  # the same for every request, so the response does not vary
            return [*encode_headers([("Access-Control-Allow-Origin", ANY)]), *self._shared]
        if origin is None or origin not in self._origins:
            return _NOTHING
        return [*_NOTHING, *encode_headers([("Access-Control-Allow-Origin", origin)]), *self._shared]


class AnswerPreflights:
    """Answer a browser's preflight request. It has no credentials, so it is answered before all checks.

    The headers that every response gets say what is allowed.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer, or pass on."""
        if is_preflight(scope):
            return respond(send, 204, [])
        return self.app(scope, receive, send)


def is_preflight(scope: Scope) -> bool:
    """The Fetch standard, "CORS-preflight request"."""
    return scope["method"] == "OPTIONS" and all(
        find_header(scope["headers"], name) is not None for name in (b"origin", b"access-control-request-method")
    )
