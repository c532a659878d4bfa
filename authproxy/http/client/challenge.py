"""`WWW-Authenticate` of a registry: the token server that it names, and whether that may receive our password."""

import base64
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from authproxy.http.client.address import DEFAULT_PORTS, Address, split_authority

# RFC 9110 §11.6.1: `Bearer realm="…",service="…"`; a quoted string may have a backslash before any character.
_PARAMETER = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))')
_ESCAPED = re.compile(r"\\(.)")

# Visible ASCII except the backslash, which some parsers read as a slash.
_PLAIN = re.compile(r"[\x21-\x5b\x5d-\x7e]+")

# A DNS name or an IPv4 address, with or without the root's dot; an IPv6 address without a zone.
_HOST = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?\.?|[0-9a-f:.]*:[0-9a-f:.]*")

# The last label of a name that is an IPv4 address (WHATWG URL, "ends in a number").
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

# `co.uk`, `com.au`, `or.jp`, `gov.br`: suffixes below a country's.
_COUNTRY_LETTERS = 2
_MAX_SUFFIX_LETTERS = 3


@dataclass(frozen=True, slots=True)
class Challenge:
    """A token server, and the service to request a token for (Docker token authentication)."""

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


def format_basic(user: str, password: str) -> str:
    """The value of `Authorization` for a user and a password: RFC 7617 §2, in UTF-8."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def may_send_password(
    realm: str, registry: Sequence[Address], allowed: Collection[str] = (), *, domain: str = ""
) -> bool:
    """Whether the password for a registry may be sent to the realm that its challenge names.

    Over https: to the registry's hosts and names below them, on any port. Over http: only to a host that is itself a
    registry's address over http. In addition: to `allowed`, each `scheme://host[:port]`, and over https to `domain` and
    names below it (see `shared_domain`). Never to a URL that two parsers could read differently.

    CVE-2020-15157 and similar: a registry that names a foreign realm collects passwords. Decision 0057.
    """
    place = _parse_place(realm)
    if place is None:
        return False
    if place in {_parse_place(url) for url in allowed}:
        return True
    if place.scheme == "http":
        return any(address.scheme == "http" and address.host == place.host for address in registry)
    return any(_is_at_or_below(place.host, host) for host in (*(address.host for address in registry), domain) if host)


def shared_domain(host: str) -> str:
    """The domain directly above a host, if it seems to belong to one owner; else "".

    `auth.docker.io` may serve `registry-1.docker.io`: `docker.io`. But `org` and `co.uk` belong to many owners. Longer
    suffixes of many owners (`github.io`) can't be recognized: that would need a list that changes.
    """
    if not _has_names_below(host):
        return ""
    first, *rest = host.removesuffix(".").partition(".")[2].split(".")
    is_suffix = not rest or (len(rest) == 1 and len(rest[0]) == _COUNTRY_LETTERS and len(first) <= _MAX_SUFFIX_LETTERS)
    return "" if is_suffix else ".".join([first, *rest])


def _parse_place(url: str) -> Address | None:
    """Scheme, host and port of a URL; None if it is malformed, contains a user, or httpx reads it differently."""
    if not _PLAIN.fullmatch(url):
        return None
    try:
        parts, requested = urlsplit(url), httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        return None
    if parts.scheme not in DEFAULT_PORTS:
        return None
    authority = split_authority(parts.netloc, parts.scheme)
    if authority is None or not _HOST.fullmatch(authority[0]) or parts.port == 0:
        return None
    # httpx sends the request: it must read the same address.
    port = requested.port or DEFAULT_PORTS[parts.scheme]
    if (requested.scheme, requested.raw_host.decode("ascii").lower(), port) != (parts.scheme, *authority):
        return None
    return Address(parts.scheme, *authority)


def _is_at_or_below(host: str, name: str) -> bool:
    return host == name or (_has_names_below(name) and host.endswith(f".{name}"))


def _has_names_below(host: str) -> bool:
    """Whether `x.host` belongs to the owner of `host`: not if that is `10.0.0.1`, `::1` or `localhost`."""
    _, dot, last = host.removesuffix(".").rpartition(".")
    return bool(dot) and ":" not in host and not _NUMBER.fullmatch(last)
