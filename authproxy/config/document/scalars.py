"""Text → typed values, and the annotated types for them in pydantic models.

One parser for each kind of value, whichever file it is in. Every parser raises ValueError with a message that says what
is allowed; an annotated type takes only text, or a value that already has the type.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, PlainSerializer, PlainValidator

Value = TypeVar("Value")
Network: TypeAlias = IPv4Network | IPv6Network

# YAML 1.1's words, https://yaml.org/type/bool.html, without the letters y and n, which PyYAML lacks too.
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")

# Go's time.ParseDuration: "[-+]?([0-9]*(\.[0-9]*)?[a-z]+)+". The unit before the number's end makes it unambiguous.
_UNITS_IN_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the micro sign
    "μs": 1_000,  # U+03BC, the Greek letter: Go accepts both
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_DURATION_PART = re.compile(rf"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)({'|'.join(_UNITS_IN_NANOSECONDS)})")
_MAX_DURATION_LENGTH = 64
_MAX_NANOSECONDS = 2**63 - 1  # about 292 years: Go counts in an int64

# Decimal prefixes of the SI, binary ones of IEC 80000-13.
_UNITS_IN_BYTES = {"": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_BYTES = re.compile(rf"([0-9]{{1,15}}) ?({'|'.join(filter(None, _UNITS_IN_BYTES))}|)")

_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: host and port. An empty host means every interface; port 0, one that the kernel chooses."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_bool(text: str) -> bool:
    """Read a boolean of YAML 1.1: lower case, Capitalised or UPPER CASE."""
    value = _BOOLEANS.get(text.lower())
    if value is None or text not in (text.lower(), text.capitalize(), text.upper()):
        raise ValueError(f"{_quoted(text)} is not a boolean; allowed: true, false, yes, no, on, off")
    return value


def parse_int(text: str) -> int:
    """Read a decimal integer of at most 18 digits."""
    if _INTEGER.fullmatch(text) is None:
        raise ValueError(f"{_quoted(text)} is not a whole number; allowed: decimal digits")
    return int(text)


def parse_duration(text: str) -> timedelta:
    """Read a duration as Go writes it: `300ms`, `5s`, `1h30m`, `168h`, `-1.5h`, `0`. Rounded to microseconds."""
    rest = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if rest == "0":
        return timedelta()
    nanoseconds, end = Fraction(0), 0
    while len(text) <= _MAX_DURATION_LENGTH and (match := _DURATION_PART.match(rest, end)):
        nanoseconds += (
            Fraction(match[1].strip(".") if match[1].endswith(".") else match[1]) * (_UNITS_IN_NANOSECONDS[match[2]])
        )
        end = match.end()
    if end == 0 or end != len(rest):
        raise ValueError(f"{_quoted(text)} is not a duration; allowed: numbers with units, such as 300ms, 5s or 1h30m")
    if nanoseconds > _MAX_NANOSECONDS:
        raise ValueError(f"{_quoted(text)} is too long; allowed: at most 292 years")
    value = timedelta(microseconds=round(nanoseconds / 1_000))
    return -value if text.startswith("-") else value


def format_duration(value: timedelta) -> str:
    """Write a duration so that `parse_duration` and Go read it back: `1h30m`, `5m`, `1.5s`, `0s`."""
    microseconds = value // timedelta(microseconds=1)
    sign, microseconds = ("-", -microseconds) if microseconds < 0 else ("", microseconds)
    minutes, microseconds = divmod(microseconds, 60_000_000)
    hours, minutes = divmod(minutes, 60)
    seconds, fraction = divmod(microseconds, 1_000_000)
    text = (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "")
    if fraction:
        text += f"{seconds}.{fraction:06d}".rstrip("0") + "s"
    elif seconds or not text:
        text += f"{seconds}s"
    return sign + text


def parse_bytes(text: str) -> int:
    """Read a number of bytes: `1048576`, `100MiB` or `1GB`."""
    match = _BYTES.fullmatch(text)
    if match is None:
        raise ValueError(f"{_quoted(text)} is not a size; allowed: a whole number and a unit, such as 100MiB or 1GB")
    return int(match[1]) * _UNITS_IN_BYTES[match[2]]


def parse_address(text: str) -> Address:
    """Read `host:port`, `:port` or `[IPv6]:port` (Go's net.Listen, with a port in digits)."""
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    well_formed = bool(colon) and re.fullmatch(r"[0-9]{1,5}", port) and int(port) <= _MAX_PORT
    if not well_formed or (":" in bare and bare == host) or re.search(r"[\[\]\s/@]", bare):
        if re.fullmatch(r"[0-9]{1,9}", port) and int(port) > _MAX_PORT:
            raise ValueError(f"{_quoted(text)}: {port} is no port; allowed: 0 to {_MAX_PORT}")
        raise ValueError(f"{_quoted(text)} is not an address; allowed: host:port, :port or [IPv6 address]:port")
    return Address(bare, int(port))


def parse_network(text: str) -> Network:
    """Read an IP address or a network such as `10.0.0.0/8`; an address is a network of one address."""
    try:
        return ip_network(text)
    except ValueError as exc:
        raise ValueError(f"{exc}; allowed: an IP address or a network such as 10.0.0.0/8") from None


def parse_url(text: str) -> str:
    """Check an http or https URL: a host, no user, no query, no fragment. Slashes at the end are dropped."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable, parts = False, urlsplit("")
    if not usable or not text.isascii() or not text.isprintable() or re.search(r"[\s?#\\]", text):
        raise ValueError("not a usable URL; allowed: http://host[:port][/path] or https://…")
    if "@" in parts.netloc:
        raise ValueError("a URL with a user or password in it; write only the host")
    return text.rstrip("/")


def parse_base_url(text: str) -> str:
    """Check an http or https URL that has no path: `https://host[:port]`."""
    url = parse_url(text)
    if urlsplit(url).path:
        raise ValueError(f"{_quoted(text)} has a path; allowed: http://host[:port] or https://host[:port]")
    return url


def read_as(kind: type | tuple[type, ...], parse: Callable[[str], Value], value: Any) -> Any:
    """Text read with `parse`; a value of `kind` unchanged. Raises ValueError for anything else."""
    if isinstance(value, str):
        return parse(value)
    if isinstance(value, kind):
        return value
    raise ValueError("expected one value, not keys, a list or nothing")


def typed(kind: type | tuple[type, ...], parse: Callable[[str], Value]) -> PlainValidator:
    """The pydantic validator that reads text with `parse` and leaves a value of `kind` unchanged."""
    return PlainValidator(partial(read_as, kind, parse))


def _at_least_one(value: int) -> int:
    if value < 1:
        raise ValueError("too few; allowed: 1 or more")
    return value


def _not_negative(value: timedelta) -> timedelta:
    if value < timedelta():
        raise ValueError("too short; allowed: 0s or more")
    return value


Boolean: TypeAlias = Annotated[bool, typed(bool, parse_bool)]
Integer: TypeAlias = Annotated[int, typed(int, parse_int)]
Count: TypeAlias = Annotated[Integer, AfterValidator(_at_least_one)]
Duration: TypeAlias = Annotated[
    timedelta, typed(timedelta, parse_duration), PlainSerializer(format_duration, when_used="json")
]
ByteCount: TypeAlias = Annotated[int, typed(int, parse_bytes), AfterValidator(_at_least_one)]
NonNegativeDuration: TypeAlias = Annotated[Duration, AfterValidator(_not_negative)]
ListenAddress: TypeAlias = Annotated[Address, typed(Address, parse_address), PlainSerializer(str)]
IPNetwork: TypeAlias = Annotated[Network, typed((IPv4Network, IPv6Network), parse_network)]
Url: TypeAlias = Annotated[str, typed(str, parse_url)]
BaseUrl: TypeAlias = Annotated[str, typed(str, parse_base_url)]


def _quoted(text: str) -> str:
    return f'"{text}"' if len(text) <= _MAX_DURATION_LENGTH else f'"{text[:_MAX_DURATION_LENGTH]}…"'
