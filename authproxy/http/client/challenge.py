"""`WWW-Authenticate` of the upstream, and whether its realm may be told our password."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from authproxy.http.client.address import Address, split_authority

# RFC 9110 §11.6.1: `Bearer realm="…",service="…"`; a quoted text may have a backslash before any character.
_PARAMETER = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))')
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """Where tokens are to be had, and what for (Docker token authentication)."""

    realm: str
    service: str | None


def parse_challenge(values: Iterable[str]) -> Challenge | None:
    """The first challenge for a Bearer token that names a realm, or None."""
    for value in values:
        scheme, _, rest = value.strip().partition(" ")
        if scheme.lower() != "bearer":
            continue
        found = {
            match[1].lower(): _ESCAPED.sub(r"\1", match[2]) if match[2] is not None else match[3]
            for match in _PARAMETER.finditer(rest)
        }
        if realm := found.get("realm"):
            return Challenge(realm, found.get("service"))
    return None


def may_ask(realm: str, addresses: Sequence[Address], allowed: Collection[str]) -> bool:
    """Whether a realm is the upstream's own, or one that the operator named (`scheme://host[:port]`).

    Its own are its hosts, on any port, and what is below a name of theirs. Never http for an https upstream: who holds
    the line would read the password (CVE-2020-15157 and its kin: a registry that names a realm of somebody else).
    """
    if _base(realm) is None:
        return False
    if _base(realm) in {_base(url) for url in allowed}:
        return True
    parts = urlsplit(realm)
    host = parts.hostname or ""
    return any(
        (parts.scheme == "https" or address.scheme == "http")
        and (host == address.host or (_is_name(address.host) and host.endswith(f".{address.host}")))
        for address in addresses
    )


def _base(url: str) -> tuple[str, tuple[str, int]] | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not url.isascii() or not url.isprintable() or "\\" in url:
        return None
    authority = split_authority(parts.netloc, parts.scheme)
    return None if authority is None else (parts.scheme, authority)


def _is_name(host: str) -> bool:
    """Whether what ends in this host is below it: of `10.0.0.1`, `::1` and `localhost` nothing is."""
    return "." in host and ":" not in host and not host.rpartition(".")[2].isdigit()
