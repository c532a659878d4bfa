"""Parsers of the headers that proxies write about their clients: lists of addresses, and `Forwarded` (RFC 7239).

`forwarded.py` decides which of them to trust.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

# An IPv4 address or a bracketed IPv6 one with a port, which some balancers write into X-Forwarded-For too.
_WITH_PORT = re.compile(r"(?:\[([^\]]*)\]|([0-9.]+))(?::[0-9]{1,5})?")

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110 §5.6.2, no secret
# RFC 7239 §4: ";" separates the pairs of an element, "," the elements. Colons and brackets need quotes, which some
# proxies forget.
_PAIR = re.compile(
    rf"""[ \t]*(?:({_TOKEN})=(?:([\[\]:!#$%&'*+.^_`|~0-9A-Za-z-]+)|"((?:[^"\\]|\\.)*)")[ \t]*)?([;,]|\Z)"""
)
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class ForwardedHop:
    """One element of `Forwarded`: what one proxy says about its client. None: not given."""

    address: str | None = None
    scheme: str | None = None
    authority: str | None = None


def parse_forwarded(value: str) -> tuple[ForwardedHop, ...]:
    """The elements of one `Forwarded` header in their order, the nearest proxy's last.

    Raises ValueError if it is malformed: it is then unknown where an element ends, and so which proxy wrote it.
    """
    hops: list[ForwardedHop] = []
    pairs: dict[str, str] = {}
    at = 0
    while at < len(value):
        match = _PAIR.match(value, at)
        if match is None:
            raise ValueError(f"neither a pair nor a separator at character {at}")
        at = match.end()
        if match[1]:
            name = match[1].lower()
            if name in pairs:
                raise ValueError(f"{name} appears twice in one element")
            pairs[name] = match[2] or _ESCAPED.sub(r"\1", match[3] or "")
        if match[4] != ";" and pairs:
            hops.append(_hop(pairs))
            pairs = {}
    return (*hops, _hop(pairs)) if pairs else tuple(hops)


def parse_address(text: str) -> str | None:
    """An address, with or without a port, in its shortest form; None for anything else, such as `unknown`.

    IPv4 seen by an IPv6 socket (::ffff:a.b.c.d) is IPv4. A zone (`%eth0`) means nothing on another machine.
    """
    match = _WITH_PORT.fullmatch(text)
    bare = (match[1] or match[2]) if match else text
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return None
    if "%" in bare:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


def parse_scheme(text: str) -> str | None:
    """`https` or `http`; None for any other word."""
    scheme = text.lower()
    return scheme if scheme in ("https", "http") else None


def list_elements(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> list[str]:
    """The elements of all lines of a list header, the nearest proxy's last."""
    joined = ",".join(value.decode("latin-1") for key, value in headers if key == name)
    return [element for part in joined.split(",") if (element := part.strip())]


def _hop(pairs: dict[str, str]) -> ForwardedHop:
    return ForwardedHop(
        address=parse_address(pairs.get("for", "")),
        scheme=parse_scheme(pairs.get("proto", "")),
        authority=pairs.get("host", "").lower() or None,
    )
