"""Which headers pass, which are replaced, and which end here. Pure functions over ASGI's pairs, names in lower case."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from authproxy.asgi import Headers
from authproxy.errors import GatewayFailed
from authproxy.origin import DEFAULT_PORTS, Origin

# RFC 9110 §7.6.1: fields of one connection, beside those that `Connection` names.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

# Said anew by us, so that nobody else can have said it; all of `x-forwarded-` goes too.
REPLACED = frozenset({b"host", b"content-length", b"forwarded", b"x-real-ip"})

# Some upstreams act on these as if the request had been another one than the edge allowed.
REWRITING = frozenset(
    {
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-method",
        b"x-original-uri",
        b"x-original-url",
        b"x-rewrite-url",
    }
)

# `Expect` is said anew where there is a body to expect. A cookie is a session at another front door.
NOT_FORWARDED = HOP_BY_HOP | REPLACED | REWRITING | {b"expect", b"cookie", b"cookie2"}

# Of an answer. nginx hides the first two as well: our server writes its own. Alt-Svc would lead clients past the edge.
NOT_RELAYED = HOP_BY_HOP | {b"date", b"server", b"alt-svc", b"set-cookie", b"set-cookie2"}

# Go's FormValue prefers fields in such a body to those in the query, and CNCF Distribution asks it for `mount`, `from`
# and `digest`: a body would say something else than what the edge has allowed. No registry call sends a form.
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/")
NOT_A_FORM = b"application/octet-stream"

# What no header value may hold (RFC 9110 §5.5); servers refuse to send it.
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

# RFC 9110 §8.6: 204 has no Content-Length. 304 may, for a body that is not sent: servers count and would miss it.
_WITHOUT_LENGTH = (204, 304)

# Of an authority; an IPv6 address in brackets has colons of its own.
_PORT = re.compile(r":([0-9]+)$")

Relocate = Callable[[str], str]


def has_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the client sends a body (RFC 9112 §6.3): a transfer coding, or a length that is not zero."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b" \t0") != b"")
        for name, value in headers
    )


def request_headers(headers: Headers, origin: Origin, *, pass_authorization: bool) -> Headers:
    """What the upstream is sent: nothing that the client did not send, but for where it came from.

    The body keeps the client's `Content-Length`, else it is chunked.
    """
    dropped = NOT_FORWARDED | _connection_options(headers)
    if not pass_authorization:
        dropped |= {b"authorization"}
    passed = [
        (name, NOT_A_FORM if name == b"content-type" and _is_form(value) else value)
        for name, value in headers
        if (canonical := _canonical(name)) not in dropped and not canonical.startswith(b"x-forwarded-")
    ]
    return [*_origin_headers(origin), *_framing(headers), *passed]


def expects_continue(headers: Headers) -> bool:
    """Whether the client waits for leave to send its body (RFC 9110 §10.1.1)."""
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers) and has_body(headers)


def response_headers(
    status: int, headers: Iterable[tuple[bytes, bytes]], *, relocators: Mapping[bytes, Relocate]
) -> Headers:
    """What the client is sent: the upstream's pairs in their order, repeated ones kept.

    `relocators` has a function for each header that holds addresses. Raises GatewayFailed where a value is one that
    may not be sent on.
    """
    pairs = [(name.lower(), value) for name, value in headers]
    names = {name for name, _ in pairs}
    dropped = NOT_RELAYED
    if b"connection" in names:
        dropped |= _connection_options(pairs) - {b"content-length"}
    # RFC 9112 §6.3: a transfer coding overrides a length beside it, which may be wrong.
    if status in _WITHOUT_LENGTH or b"transfer-encoding" in names:
        dropped |= {b"content-length"}
    relayed = [pair for pair in pairs if pair[0] not in dropped]
    if _CONTROL.search(b"".join([value for _, value in relayed])):
        raise GatewayFailed("the upstream registry answered with a control character in a header")
    if names.isdisjoint(relocators):
        return relayed
    return [
        (name, relocators[name](value.decode("latin-1")).encode("latin-1")) if name in relocators else (name, value)
        for name, value in relayed
    ]


def content_length(headers: Headers) -> int | None:
    """How many bytes a relayed answer will have, or None where only its end tells."""
    return next((int(value) for name, value in headers if name == b"content-length"), None)


@lru_cache(maxsize=4096)
def _origin_headers(origin: Origin) -> tuple[tuple[bytes, bytes], ...]:
    """What the upstream is told of the client's side, and who stood between.

    `Forwarded` (RFC 7239) says all of it once more: CNCF Distribution prefers it, and reads its first element alone.
    """
    path = [address for address in (*origin.forwarded_for, origin.peer or origin.client) if address]
    port = _PORT.search(origin.authority)
    nodes = [f"for={_node(address)}" for address in path] or ["for=unknown"]
    nodes[0] += f';host="{origin.authority}";proto={origin.scheme}'
    said = [
        ("host", origin.authority),
        ("x-forwarded-proto", origin.scheme),
        ("x-forwarded-host", origin.authority),
        ("x-forwarded-port", port[1] if port else DEFAULT_PORTS.get(origin.scheme, "")),
        ("x-forwarded-for", ", ".join(path)),
        ("x-real-ip", origin.client),
        ("forwarded", ", ".join(nodes) if origin.authority else ""),
    ]
    return tuple((name.encode(), value.encode("latin-1")) for name, value in said if value or name == "host")


def _node(address: str) -> str:
    """An address as RFC 7239 §6 has it, without a zone."""
    return f'"[{address.partition("%")[0]}]"' if ":" in address else address


def _framing(headers: Headers) -> Headers:
    # Read from the request itself, never through `Connection`: a client could name Content-Length in it.
    if any(name == b"transfer-encoding" for name, _ in headers):
        return [(b"transfer-encoding", b"chunked")]
    return [(name, value) for name, value in headers if name == b"content-length"]


def _connection_options(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    lists = (value for name, value in headers if name == b"connection")
    return frozenset(_canonical(option.strip().lower()) for value in lists for option in value.split(b","))


def _canonical(name: bytes) -> bytes:
    # Upstreams behind CGI-like interfaces cannot tell X_Real_IP from X-Real-IP; so neither do we.
    return name.replace(b"_", b"-")


def _is_form(value: bytes) -> bool:
    return value.decode("latin-1").strip().lower().startswith(FORM_TYPES)
