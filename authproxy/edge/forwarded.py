"""The client's address, scheme and host: the one place that decides which forwarded headers are trusted.

Only peers in `http.trustedproxies` are trusted, and only the part of an address list that trusted proxies wrote: the
list is read from its end, where the nearest proxy appended, and the first address of no trusted proxy is the client.

`X-Forwarded-Proto`, `-Host` and `-Port` are lists that grow with `X-Forwarded-For` if proxies append to them, as Apache
does. So of each list the element of the outermost trusted proxy counts: as many steps before the end as there are
trusted proxies among the addresses. A shorter list is from proxies that overwrite: its first element counts.

`X-Forwarded-For`, `-Proto`, `-Host` and `-Port` have the same content as `Forwarded` (RFC 7239). A proxy that writes
one kind passes the other on as the client sent it, and we can't distinguish them: so values that both have must agree.
A value that only one has is trusted. `X-Real-IP` counts if neither has a list of addresses.
"""

import ipaddress
import re
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit

from authproxy.asgi import CLIENT_VIEW, App, Receive, Scope, Send, facts, find_header
from authproxy.budget import MAX_FORWARDED_PARTS
from authproxy.client_view import DEFAULT_PORTS, ClientView
from authproxy.edge.forwarded_header import ForwardedHop, list_elements, parse_address, parse_forwarded, parse_scheme
from authproxy.edge.untrusted_peers import UntrustedPeers
from authproxy.errors import ForwardedInvalid, NameInvalid

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Pairs: TypeAlias = Sequence[tuple[bytes, bytes]]

# The headers that are lists, one element for each proxy.
_LISTS = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto"})

# RFC 3986 §3.2 without user information: safe in a Location, a realm, and the Host sent upstream.
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")

_HAS_PORT = re.compile(r".*:[0-9]+")
_LAST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class _ForwardedClaims:
    """The trusted values of one kind of headers. None, or an empty chain: not given."""

    chain: tuple[str, ...] = ()  # addresses, the client first
    scheme: str | None = None
    authority: str | None = None
    port: str | None = None  # for an authority without one
    proxies: int = 0  # how many trusted proxies are in the list of addresses, without the peer

    @property
    def client(self) -> str | None:
        return self.chain[0] if self.chain else None


def decide_client_view(
    *,
    peer: str,
    scheme: str,
    headers: Pairs,
    own_authority: str,
    trusted: Sequence[Network] = (),
    public_url: str | None = None,
    relative_locations: bool = False,
    prefix: str = "",
) -> ClientView:
    """The client's view of a request.

    `scheme` is that of the connection, `own_authority` replaces a missing Host (HTTP/1.0). `public_url` (`http.host`)
    overrides everything, and its path overrides `prefix` (`http.prefix` without the final slash), as in CNCF
    Distribution. Raises NameInvalid if the host is not a host name, ForwardedInvalid if the headers of a trusted proxy
    are malformed or contradict each other.
    """
    authority = find_header(headers, b"host") or own_authority
    claims = _ForwardedClaims()
    if is_trusted(peer, trusted):
        _check_size(headers)
        forwarded = _read_forwarded(headers, trusted)
        claims = _join(forwarded, _read_x_headers(headers, trusted, forwarded.proxies), scheme, authority)
        scheme = claims.scheme or scheme
        authority = claims.authority or authority
    if public_url:
        parts = urlsplit(public_url)
        scheme, authority, prefix = parts.scheme, parts.netloc, parts.path.rstrip("/")
    if _AUTHORITY.fullmatch(authority) is None:
        raise NameInvalid("the Host header is not a host name with an optional port", detail={"host": authority[:255]})
    return ClientView(scheme, authority, claims.client or peer, peer, claims.chain, relative_locations, prefix)


def is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    """Whether an address is a trusted proxy's."""
    known = parse_address(address) if trusted else None
    return known is not None and any(ipaddress.ip_address(known) in network for network in trusted)


class DecideClientView:
    """Put the request's ClientView into its scope. `untrusted_peers` warns of claims by peers that are not trusted."""

    def __init__(
        self,
        app: App,
        *,
        trusted: Sequence[Network] = (),
        public_url: str | None = None,
        relative_locations: bool = False,
        prefix: str = "",
        untrusted_peers: UntrustedPeers | None = None,
    ) -> None:
        self.app = app
        self.untrusted_peers = untrusted_peers
        self.trusted = tuple(trusted)
        self.public_url = public_url
        self.relative_locations = relative_locations
        self.prefix = prefix

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Decide once; all inner layers read the same value."""
        known = facts(scope)
        scope[CLIENT_VIEW] = known.get(self) or known.setdefault(self, self._decide(scope))
        return self.app(scope, receive, send)

    def _decide(self, scope: Scope) -> ClientView:
        peer = scope["client"][0] if scope.get("client") else ""
        view = decide_client_view(
            peer=peer,
            scheme=scope["scheme"],
            headers=scope["headers"],
            own_authority=_own_authority(scope),
            trusted=self.trusted,
            public_url=self.public_url,
            relative_locations=self.relative_locations,
            prefix=self.prefix,
        )
        # With `http.host` the claims would change nothing but the client's address.
        if self.untrusted_peers is not None and self.public_url is None and not is_trusted(peer, self.trusted):
            self.untrusted_peers.note(peer, scope["headers"], view.scheme, view.authority)
        return view


def _check_size(headers: Pairs) -> None:
    """Raise ForwardedInvalid for lists that are too long for any chain of proxies: the client began them."""
    parts = sum(1 + value.count(b",") + value.count(b";") for name, value in headers if name in _LISTS)
    if parts > MAX_FORWARDED_PARTS:
        raise ForwardedInvalid(
            f"the Forwarded and X-Forwarded-* headers have {parts} parts, more than the limit of {MAX_FORWARDED_PARTS}:"
            " the client made them up, or two proxies send the request to each other"
        )


def _own_authority(scope: Scope) -> str:
    host, port = scope.get("server") or ("localhost", None)
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else host


def _read_x_headers(headers: Pairs, trusted: Sequence[Network], proxies: int) -> _ForwardedClaims:
    """The address chain, and of each other header the element that the outermost trusted proxy wrote.

    `proxies`: how many trusted proxies `Forwarded` has before the peer, for a request without X-Forwarded-For.
    """
    addresses = list_elements(headers, b"x-forwarded-for")
    chain = _read_chain(headers, trusted, addresses)
    if addresses:
        proxies = _count_proxies(chain, len(addresses), trusted)
    scheme, scheme_from = _step_back(headers, b"x-forwarded-proto", proxies)
    authority, authority_from = _step_back(headers, b"x-forwarded-host", proxies)
    port, port_from = _step_back(headers, b"x-forwarded-port", proxies)
    if port_from < max(scheme_from, authority_from) or not _is_port(port):
        port = None  # a nearer proxy's port is the port of another listener
    return _ForwardedClaims(chain, parse_scheme(scheme or ""), authority, port, proxies)


def _count_proxies(chain: Sequence[str], elements: int, trusted: Sequence[Network]) -> int:
    """How many addresses in a list are trusted proxies, each of which wrote the element before its own.

    The first element has none before it: it is a client, trusted or not.
    """
    return min(sum(is_trusted(address, trusted) for address in chain), max(elements - 1, 0))


def _step_back(headers: Pairs, name: bytes, steps: int) -> tuple[str | None, int]:
    """The element `steps` before the last, or else the first, and how many steps before the last it is."""
    elements = list_elements(headers, name)
    if not elements:
        return None, 0
    steps = min(steps, len(elements) - 1)
    return elements[-1 - steps].lower(), steps


def _is_port(text: str | None) -> bool:
    return text is not None and re.fullmatch(r"[1-9][0-9]{0,4}", text) is not None and int(text) <= _LAST_PORT


def _read_chain(headers: Pairs, trusted: Sequence[Network], addresses: Sequence[str]) -> tuple[str, ...]:
    """The trusted part of X-Forwarded-For, whose elements are `addresses`, the client first."""
    if addresses or any(name == b"forwarded" for name, _ in headers):
        return _trusted_part(map(parse_address, reversed(addresses)), trusted)
    real = parse_address(_last(headers, b"x-real-ip") or "")
    return (real,) if real else ()


def _read_forwarded(headers: Pairs, trusted: Sequence[Network]) -> _ForwardedClaims:
    """The values of the outermost trusted proxy; those that it lacks, from the next one."""
    hops: list[ForwardedHop] = []
    try:
        for name, value in headers:
            if name == b"forwarded":
                hops.extend(parse_forwarded(value.decode("latin-1")))
    except ValueError as exc:
        raise ForwardedInvalid(f"the Forwarded header of the proxy in front is malformed: {exc}") from exc
    chain = _trusted_part((hop.address for hop in reversed(hops)), trusted)
    # The proxy that wrote the first address that is not a trusted proxy's was itself trusted.
    outermost = len(chain) if chain and not is_trusted(chain[0], trusted) else len(chain) + 1
    written = hops[-outermost:]
    return _ForwardedClaims(
        chain,
        next((hop.scheme for hop in written if hop.scheme), None),
        next((hop.authority for hop in written if hop.authority), None),
        proxies=_count_proxies(chain, len(hops), trusted),
    )


def _trusted_part(nearest_first: Iterable[str | None], trusted: Sequence[Network]) -> tuple[str, ...]:
    """The part of a chain that trusted proxies wrote, the client first."""
    chain: list[str] = []
    for address in nearest_first:
        if address is None:
            break  # elements before one that is not an address were not written by a known proxy
        chain.insert(0, address)
        if not is_trusted(address, trusted):
            break
    return tuple(chain)


def _join(one: _ForwardedClaims, other: _ForwardedClaims, scheme: str, host: str) -> _ForwardedClaims:
    """The values of both kinds joined, for a connection of `scheme` and a request to `host`."""
    scheme = _agreed("scheme", one.scheme, other.scheme) or scheme
    port = other.port if other.port != DEFAULT_PORTS[scheme] else None
    named = _with_port(other.authority or (port and (one.authority or host)), port)
    _agreed("host", _without_default_port(one.authority, scheme), _without_default_port(named, scheme))
    _agreed("client", one.client, other.client)
    return _ForwardedClaims(one.chain or other.chain, scheme, one.authority or named)


def _agreed(what: str, one: str | None, other: str | None) -> str | None:
    if one and other and one != other:
        raise ForwardedInvalid(
            f"Forwarded and X-Forwarded-* name a different {what}: the proxy in front must write both or drop one"
        )
    return one or other


def _with_port(authority: str | None, port: str | None) -> str | None:
    """The authority with `port`, unless it has a port of its own, which the client asked for."""
    return f"{authority}:{port}" if authority and port and not _HAS_PORT.fullmatch(authority) else authority


def _without_default_port(authority: str | None, scheme: str) -> str | None:
    return authority and authority.lower().removesuffix(f":{DEFAULT_PORTS[scheme]}")


def _last(headers: Pairs, name: bytes) -> str | None:
    """The element that the nearest proxy wrote."""
    elements = list_elements(headers, name)
    return elements[-1].lower() if elements else None
