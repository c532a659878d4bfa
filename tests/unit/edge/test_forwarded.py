"""Which forwarded headers are believed."""

import ipaddress
from dataclasses import dataclass, field
from operator import attrgetter

import pytest

from authproxy.edge.forwarded import decide_origin
from authproxy.errors import NameInvalid
from authproxy.origin import Origin


@dataclass(frozen=True)
class Row:
    what: str
    headers: dict[str, str]
    expected: tuple[str, str, str]  # scheme, authority, client
    peer: str = "10.0.0.9"
    trusted: tuple[str, ...] = ()
    forwarded_for: tuple[str, ...] = ()
    public_url: str | None = None
    scheme: str = "https"
    extra: list[tuple[str, str]] = field(default_factory=list)


LIE = {"host": "reg:5000", "x-forwarded-for": "1.2.3.4", "x-forwarded-proto": "http", "x-forwarded-host": "evil"}
ROWS = [
    Row("nobody is trusted", LIE, ("https", "reg:5000", "10.0.0.9")),
    Row("loopback is nobody special", LIE, ("https", "reg:5000", "127.0.0.1"), peer="127.0.0.1"),
    Row("a trusted proxy", LIE, ("http", "evil", "1.2.3.4"), trusted=("10.0.0.0/8",), forwarded_for=("1.2.3.4",)),
    Row(
        "the client prepended a lie",
        {"host": "r", "x-forwarded-for": "6.6.6.6, 1.2.3.4, 10.0.0.2"},
        ("https", "r", "1.2.3.4"),
        trusted=("10.0.0.0/8",),
        forwarded_for=("1.2.3.4", "10.0.0.2"),
    ),
    Row(
        "a chain over two header lines",
        {"host": "r", "x-forwarded-for": "1.2.3.4"},
        ("https", "r", "1.2.3.4"),
        trusted=("10.0.0.0/8",),
        forwarded_for=("1.2.3.4", "10.0.0.2"),
        extra=[("x-forwarded-for", "10.0.0.2")],
    ),
    Row(
        "a word that is no address",
        {"host": "r", "x-forwarded-for": "x"},
        ("https", "r", "10.0.0.9"),
        trusted=("10.0.0.9/32",),
    ),
    Row(
        "a scheme that is none",
        {"host": "r", "x-forwarded-proto": "ftp"},
        ("https", "r", "10.0.0.9"),
        trusted=("10.0.0.9/32",),
    ),
    Row(
        "IPv4 seen by an IPv6 socket",
        LIE,
        ("http", "evil", "1.2.3.4"),
        "::ffff:10.0.0.9",
        ("10.0.0.0/8",),
        ("1.2.3.4",),
    ),
    Row("http.host wins", LIE, ("https", "registry.example", "10.0.0.9"), public_url="https://registry.example"),
    Row("no Host header", {}, ("https", "own:1", "10.0.0.9")),
    Row("an IPv6 host", {"host": "[::1]:5000"}, ("https", "[::1]:5000", "10.0.0.9")),
]


@pytest.mark.parametrize("row", ROWS, ids=attrgetter("what"))
def test_origin(row: Row) -> None:
    pairs = [*row.headers.items(), *row.extra]
    origin = decide_origin(
        peer=row.peer,
        scheme=row.scheme,
        headers=[(name.encode(), value.encode()) for name, value in pairs],
        own_authority="own:1",
        trusted=[ipaddress.ip_network(network) for network in row.trusted],
        public_url=row.public_url,
    )
    assert (origin.scheme, origin.authority, origin.client) == row.expected
    assert origin.forwarded_for == row.forwarded_for


@pytest.mark.parametrize("host", ['a"b', "a b", "a/b", "user@host", "a\\b", "host:port", "[zz]", "a\x00b"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(NameInvalid):
        decide_origin(peer="", scheme="https", headers=[(b"host", host.encode())], own_authority="own")


def test_locations_are_absolute_or_relative_as_configured() -> None:
    assert Origin("https", "r:5000", "c").location("/v2/x") == "https://r:5000/v2/x"
    assert Origin("https", "r:5000", "c", relative_locations=True).location("/v2/x") == "/v2/x"
