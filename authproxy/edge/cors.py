"""CORS: which web pages of other sites may ask here, and what they see of the answers.

The Fetch standard, "CORS protocol" (https://fetch.spec.whatwg.org/#http-cors-protocol). A browser keeps the rules, not
we: a request from a page that may not ask is answered like any other, without the headers that would let it be read.
"""

from collections.abc import Awaitable, Iterable

from authproxy.asgi import App, Headers, Receive, Scope, Send, encode_headers, facts, find_header, respond

ANY = "*"

# What a page that may not ask is told, and who is no page: that others are told more.
_NOTHING: Headers = [(b"vary", b"Origin")]


class Cors:
    """What `http.cors` says, as headers of answers. With `*` among `origins` every page may ask."""

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
        """An answer's headers with ours in place of all that an upstream says about CORS."""
        known = facts(scope)
        allowed: Headers | None = known.get(self)
        if allowed is None:
            allowed = known[self] = self._decide(find_header(scope["headers"], b"origin"))
        kept = [pair for pair in headers if not pair[0].startswith(b"access-control-")]
        if allowed is not _NOTHING and is_preflight(scope):
            return [*kept, *allowed, *self._preflight]
        return [*kept, *allowed]

    def _decide(self, origin: str | None) -> Headers:
        if ANY in self._origins:  # the same for everybody, so that nothing depends on who asked
            return [*encode_headers([("Access-Control-Allow-Origin", ANY)]), *self._shared]
        if origin is None or origin not in self._origins:
            return _NOTHING
        return [*_NOTHING, *encode_headers([("Access-Control-Allow-Origin", origin)]), *self._shared]


class AnswerPreflights:
    """Answer what a browser asks before the request itself. It carries no credentials, so it comes before all checks.

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
