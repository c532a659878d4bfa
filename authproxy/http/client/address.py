"""The address of an upstream: its URL, parsed once, and the conversion between its paths and ours."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from authproxy.errors import StartError

DEFAULT_PORTS = {"http": 80, "https": 443}

# RFC 9112 §3.2: a request target is visible ASCII. Servers accept other bytes in a query.
_NOT_IN_TARGET = re.compile(rb"[^\x21-\x7e]")


@dataclass(frozen=True, slots=True)
class Address:
    """The upstream's base URL. `prefix` is "" or a path that precedes every `/v2/`, without a slash at the end."""

    scheme: str  # "http" or "https"
    host: str  # ASCII in lower case; IPv6 without brackets
    port: int
    prefix: str = ""

    @property
    def url(self) -> str:
        """`http://host:port/prefix`, for the log."""
        return f"{self.scheme}://{self.authority}{self.prefix}"

    @property
    def authority(self) -> str:
        """`host:port`, for a `Host` header that names the upstream itself."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def target(self, raw_path: bytes, query_string: bytes) -> bytes:
        """The request target for a client's path and query: the prefix, then the same bytes.

        Bytes that a target may not contain are percent-encoded; else the upstream would have to guess where it ends.
        """
        target = self.prefix.encode("ascii") + raw_path + (b"?" + query_string if query_string else b"")
        return _NOT_IN_TARGET.sub(lambda match: b"%%%02X" % match[0][0], target)

    def strip_prefix(self, path: str) -> str:
        """A path of the upstream as our clients request it; unchanged if it is not below the prefix."""
        rest = path.removeprefix(self.prefix)
        return rest if rest.startswith("/") else path

    def is_at(self, authority: str, scheme: str) -> bool:
        """Whether `host[:port]` of a URL with this scheme is the upstream."""
        return split_authority(authority, scheme) == (self.host, self.port)


def parse_addresses(urls: Sequence[str]) -> tuple[Address, ...]:
    """Parse `upstream.url`: the addresses of one registry. Raises StartError, with what to write instead."""
    addresses = tuple(parse_address(url) for url in urls)
    if not addresses:
        raise StartError("upstream.url: it has no address; write at least one")
    if len(set(addresses)) < len(addresses):
        raise StartError("upstream.url: an address is repeated; write each once")
    if len({(address.scheme, address.prefix) for address in addresses}) > 1:
        raise StartError("upstream.url: the addresses of one registry may differ only in host and port")
    return addresses


def parse_address(url: str) -> Address:
    """Parse one URL of `upstream.url`. Raises StartError, with what to write instead."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise _refusal(url, str(exc)) from None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise _refusal(url, "it must begin with http:// or https:// and a host")
    if "@" in parts.netloc:
        # The URL itself is not shown: it contains a password.
        raise StartError("upstream.url: leave user and password out; set up the upstream to trust this host")
    if "?" in url or "#" in url:
        raise _refusal(url, "it must end with the path: no ? and no #")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise _refusal(url, "it may contain only visible ASCII; write an international name in its xn-- form")
    prefix = parts.path.rstrip("/")
    if prefix.endswith("/v2"):
        raise _refusal(url, "leave out /v2: every request contains it already")
    if port == 0:
        raise _refusal(url, "nothing can connect to port 0")
    return Address(parts.scheme, parts.hostname, port or DEFAULT_PORTS[parts.scheme], prefix)


def split_authority(authority: str, scheme: str) -> tuple[str, int] | None:
    """`host[:port]` as comparable values, with the scheme's default port if it has none; None if it is malformed.

    RFC 3986 §3.2 and §6.2.3: names are compared without case. An authority with a user is not accepted.
    """
    try:
        parts = urlsplit(f"//{authority}")
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or "@" in authority or parts.netloc != authority:
        return None
    return parts.hostname, port or DEFAULT_PORTS[scheme]


def _refusal(url: str, reason: str) -> StartError:
    return StartError(f"upstream.url: {url!r} is not the address of a registry: {reason}")
