"""The headers of passed-on requests and responses: known ones pass, some are ours. Pure functions on ASGI's pairs."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from authproxy.asgi import Headers
from authproxy.client_view import DEFAULT_PORTS, ClientView
from authproxy.errors import GatewayFailed
from authproxy.proxy.header_names import OF_ANSWERS, OF_REQUESTS

# Characters that a header value may not contain (RFC 9110 §5.5); servers refuse to send them.
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

# RFC 9110 §8.6: 204 has no Content-Length. 304 may have that of a body that is not sent, which servers would miss.
_WITHOUT_LENGTH = (204, 304)

# The port of an authority; an IPv6 address in brackets contains colons too.
_PORT = re.compile(r":([0-9]+)$")

Relocate = Callable[[str], str]


def has_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the client sends a body (RFC 9112 §6.3): a transfer coding, or a length that is not zero."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b" \t0") != b"")
        for name, value in headers
    )


def request_headers(
    headers: Headers, view: ClientView, content_type: Headers | None = None, *, pass_authorization: bool
) -> Headers:
    """The headers for the upstream: the client's view, the framing, and the client's headers with known names.

    The body keeps the client's `Content-Length`, else it is chunked. `content_type` comes from `media_type.sent_type`.
    """
    passed = OF_REQUESTS | {b"authorization"} if pass_authorization else OF_REQUESTS
    if options := _connection_options(headers):
        passed -= options
    return [
        *_client_view_headers(view),
        *_framing(headers),
        *(content_type or ()),
        *[pair for pair in headers if pair[0] in passed],
    ]


def expects_continue(headers: Headers) -> bool:
    """Whether the client waits for 100 (Continue) before it sends its body (RFC 9110 §10.1.1)."""
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers) and has_body(headers)


def response_headers(
    status: int,
    headers: Iterable[tuple[bytes, bytes]],
    *,
    relocators: Mapping[bytes, Relocate],
    relays_challenges: bool = True,
) -> Headers:
    """The headers for the client: the upstream's pairs with known names in their order, including repeated ones.

    `relocators` has a function for each header that contains addresses. `relays_challenges` False: challenges are
    dropped for every status, so that the upstream can't send clients to its own realm. Raises GatewayFailed for a value
    that may not be sent.
    """
    pairs = [(name.lower(), value) for name, value in headers]
    names = {name for name, _ in pairs}
    relayable = OF_ANSWERS
    if not relays_challenges and b"www-authenticate" in names:
        relayable -= {b"www-authenticate"}
    if b"connection" in names:
        relayable -= _connection_options(pairs) - {b"content-length"}
    # RFC 9112 §6.3: a transfer coding overrides a length, which may be wrong.
    if status in _WITHOUT_LENGTH or b"transfer-encoding" in names:
        relayable -= {b"content-length"}
    relayed = [pair for pair in pairs if pair[0] in relayable]
    if _CONTROL.search(b"".join([value for _, value in relayed])):
        raise GatewayFailed("the upstream registry answered with a control character in a header")
    if names.isdisjoint(relocators):
        return relayed
    return [
        (name, relocators[name](value.decode("latin-1")).encode("latin-1")) if name in relocators else (name, value)
        for name, value in relayed
    ]


def content_length(headers: Headers) -> int | None:
    """The length of a relayed response's body in bytes, or None if it is unknown."""
    return next((int(value) for name, value in headers if name == b"content-length"), None)


@lru_cache(maxsize=4096)
def _client_view_headers(view: ClientView) -> tuple[tuple[bytes, bytes], ...]:
    """The forwarded headers: the client's address, scheme and host, and the proxies on the way.

    `Forwarded` (RFC 7239) repeats all of it: CNCF Distribution prefers it, and reads only its first element.
    """
    path = [address for address in (*view.forwarded_for, view.peer or view.client) if address]
    port = _PORT.search(view.authority)
    nodes = [f"for={_node(address)}" for address in path] or ["for=unknown"]
    nodes[0] += f';host="{view.authority}";proto={view.scheme}'
    fields = [
        ("host", view.authority),
        ("x-forwarded-proto", view.scheme),
        ("x-forwarded-host", view.authority),
        ("x-forwarded-port", port[1] if port else DEFAULT_PORTS.get(view.scheme, "")),
        ("x-forwarded-for", ", ".join(path)),
        ("x-real-ip", view.client),
        ("forwarded", ", ".join(nodes) if view.authority else ""),
    ]
    return tuple((name.encode(), value.encode("latin-1")) for name, value in fields if value or name == "host")


def _node(address: str) -> str:
    """An address in the form of RFC 7239 §6, without a zone."""
    return f'"[{address.partition("%")[0]}]"' if ":" in address else address


def _framing(headers: Headers) -> Headers:
    # Read from the request itself, never through `Connection`: a client could name Content-Length in it.
    if any(name == b"transfer-encoding" for name, _ in headers):
        return [(b"transfer-encoding", b"chunked")]
    return [(name, value) for name, value in headers if name == b"content-length"]


def _connection_options(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    lists = (value for name, value in headers if name == b"connection")
    return frozenset(option.strip().lower() for value in lists for option in value.split(b","))
