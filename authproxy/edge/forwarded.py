"""Whose address and which host a request has: the one function that believes forwarded headers, or does not.

Only peers in `http.trustedproxies` are believed, and of a chain of addresses only as far as trusted proxies wrote it:
it is read from its end, where the nearest proxy appended, and the first address that is no trusted proxy is the client.
"""

import ipaddress
import re
from collections.abc import Awaitable, Sequence
from typing import TypeAlias
from urllib.parse import urlsplit

from authproxy.asgi import ORIGIN, App, Receive, Scope, Send, facts, find_header
from authproxy.errors import NameInvalid
from authproxy.origin import Origin

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# RFC 3986 §3.2 without user information: what may stand in a Location, a realm, and the Host sent upstream.
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


def decide_origin(
    *,
    peer: str,
    scheme: str,
    headers: Sequence[tuple[bytes, bytes]],
    own_authority: str,
    trusted: Sequence[Network] = (),
    public_url: str | None = None,
    relative_locations: bool = False,
    prefix: str = "",
) -> Origin:
    """The client's view of a request.

    `scheme` is that of the connection, `own_authority` what stands in for a missing Host (HTTP/1.0). `public_url`
    (`http.host`) wins over everything, and its path over `prefix` (`http.prefix` without the slash at its end): so it
    is in CNCF Distribution. Raises NameInvalid where the host is none.
    """
    client = peer
    chain: tuple[str, ...] = ()
    authority = find_header(headers, b"host") or own_authority
    if _is_trusted(peer, trusted):
        client, chain = _read_chain(peer, headers, trusted)
        scheme = _last(headers, b"x-forwarded-proto", allowed=("http", "https")) or scheme
        authority = _last(headers, b"x-forwarded-host") or authority
    if public_url:
        parts = urlsplit(public_url)
        scheme, authority, prefix = parts.scheme, parts.netloc, parts.path.rstrip("/")
    if _AUTHORITY.fullmatch(authority) is None:
        raise NameInvalid(
            "the Host header is not a host name, with a port or without", detail={"host": authority[:255]}
        )
    return Origin(scheme, authority, client, peer, chain, relative_locations, prefix)


class DecideOrigin:
    """Put the request's Origin into its scope."""

    def __init__(
        self,
        app: App,
        *,
        trusted: Sequence[Network] = (),
        public_url: str | None = None,
        relative_locations: bool = False,
        prefix: str = "",
    ) -> None:
        self.app = app
        self.trusted = tuple(trusted)
        self.public_url = public_url
        self.relative_locations = relative_locations
        self.prefix = prefix

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Decide once; everybody behind reads the same value."""
        known = facts(scope)
        scope[ORIGIN] = known.get(ORIGIN) or known.setdefault(ORIGIN, self._decide(scope))
        return self.app(scope, receive, send)

    def _decide(self, scope: Scope) -> Origin:
        return decide_origin(
            peer=scope["client"][0] if scope.get("client") else "",
            scheme=scope["scheme"],
            headers=scope["headers"],
            own_authority=_own_authority(scope),
            trusted=self.trusted,
            public_url=self.public_url,
            relative_locations=self.relative_locations,
            prefix=self.prefix,
        )


def _own_authority(scope: Scope) -> str:
    host, port = scope.get("server") or ("localhost", None)
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else host


def _is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    if not trusted:
        return False
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    # A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d.
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in trusted)


def _read_chain(
    peer: str, headers: Sequence[tuple[bytes, bytes]], trusted: Sequence[Network]
) -> tuple[str, tuple[str, ...]]:
    """The client, and the believed part of X-Forwarded-For from the client on."""
    believed: list[str] = []
    for address in reversed(_elements(headers, b"x-forwarded-for")):
        try:
            ipaddress.ip_address(address)
        except ValueError:
            break  # what stands before a word that is no address was not written by a proxy we know
        believed.insert(0, address)
        if not _is_trusted(address, trusted):
            break
    return (believed[0] if believed else peer), tuple(believed)


def _last(headers: Sequence[tuple[bytes, bytes]], name: bytes, allowed: Sequence[str] = ()) -> str | None:
    """The element that the nearest proxy wrote, or None where there is none that is allowed."""
    elements = _elements(headers, name)
    if not elements or (allowed and elements[-1].lower() not in allowed):
        return None
    return elements[-1].lower()


def _elements(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> list[str]:
    joined = ",".join(value.decode("latin-1") for key, value in headers if key == name)
    return [element for part in joined.split(",") if (element := part.strip())]
