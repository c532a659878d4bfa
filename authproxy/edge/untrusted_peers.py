"""Warns the operator once of forwarded headers from a peer that is not trusted.

TLS that ends in a proxy that is not trusted is the usual fault of a first installation: the challenge then names an
`http:` realm or the proxy's own name, clients fail, and no request looks wrong by itself.
"""

from collections.abc import Callable, Sequence

import structlog

from authproxy.budget import MAX_DISBELIEVED_PEERS, client_network
from authproxy.edge.forwarded_header import list_elements, parse_forwarded, parse_scheme

log = structlog.get_logger(__name__)

# How much of a claim the warning shows, in characters.
SHOWN_LENGTH = 255


class UntrustedPeers:
    """Warns once about each network of peers, at most MAX_DISBELIEVED_PEERS times: any client may send these headers.

    `claim`: whether this process is the first of its server to log a message (`LogOnce.claim`).
    """

    def __init__(self, claim: Callable[[str], bool]) -> None:
        self._claim = claim
        self._peers: set[str] = set()

    def note(self, peer: str, headers: Sequence[tuple[bytes, bytes]], scheme: str, authority: str) -> None:
        """Check a request that is answered with URLs of `scheme` and `authority`."""
        network = client_network(peer)
        if network in self._peers or len(self._peers) >= MAX_DISBELIEVED_PEERS:
            return
        claim = find_claim(headers, scheme, authority)
        if claim is None:
            return
        self._peers.add(network)
        if self._claim(f"forwarded headers of {network} are not believed"):
            log.warning(
                "forwarded headers are not believed",
                peer=peer or "unix socket",
                header=claim[0],
                claims=claim[1][:SHOWN_LENGTH],
                answered=f"{scheme}://{authority}"[:SHOWN_LENGTH],
                fix=_fix(peer),
            )


def find_claim(headers: Sequence[tuple[bytes, bytes]], scheme: str, authority: str) -> tuple[str, str] | None:
    """The header that names another scheme or host than the request itself, and its value."""
    schemes = list_elements(headers, b"x-forwarded-proto")
    if scheme == "http" and "https" in map(parse_scheme, schemes):
        return "X-Forwarded-Proto", ", ".join(schemes)
    hosts = [host.lower() for host in list_elements(headers, b"x-forwarded-host")]
    if hosts and authority.lower() not in hosts:
        return "X-Forwarded-Host", ", ".join(hosts)
    for name, value in headers:
        if name == b"forwarded" and scheme == "http" and _claims_https(text := value.decode("latin-1")):
            return "Forwarded", text
    return None


def _claims_https(forwarded: str) -> bool:
    try:
        return any(hop.scheme == "https" for hop in parse_forwarded(forwarded))
    except ValueError:
        return False


def _fix(peer: str) -> str:
    host = "set http.host to the URL that clients use, such as https://registry.example.org"
    if not peer:
        return f"if this is your proxy: {host}"
    return f"if this is your proxy: add {peer} to http.trustedproxies, or {host}"
