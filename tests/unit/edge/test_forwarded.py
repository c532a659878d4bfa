"""Which forwarded headers are believed."""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import pytest

from authproxy.client_view import ClientView
from authproxy.edge.forwarded import decide_client_view
from authproxy.errors import ForwardedInvalid, NameInvalid


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
    Row("Forwarded from anybody", {"host": "r", "forwarded": "for=1.2.3.4;host=evil"}, ("https", "r", "10.0.0.9")),
]


def behind(
    what: str, headers: dict[str, str], scheme: str, authority: str, *chain: str, extra: Sequence[tuple[str, str]] = ()
) -> Row:
    """A row of a request for `Host: r` over plain HTTP from 10.0.0.9, a trusted proxy."""
    client = chain[0] if chain else "10.0.0.9"
    asked = {"host": "r"} | headers
    return Row(what, asked, (scheme, authority, client), "10.0.0.9", TRUSTED, chain, None, "http", list(extra))


TRUSTED = ("10.0.0.0/8", "2001:db8::/32")
FROM = "x-forwarded-for"
HOST, PROTO, PORT = "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port"
BEHIND = [
    behind("nothing said", {}, "http", "r"),
    # X-Forwarded-For, X-Real-IP
    behind("an address with a port", {FROM: "1.2.3.4:567"}, "http", "r", "1.2.3.4"),
    behind("an IPv6 address", {FROM: "fd00::1"}, "http", "r", "fd00::1"),
    behind("an IPv6 address in brackets", {FROM: "[FD00:0::1]:567"}, "http", "r", "fd00::1"),
    behind("IPv4 in IPv6", {FROM: "::ffff:1.2.3.4, ::ffff:10.0.0.2"}, "http", "r", "1.2.3.4", "10.0.0.2"),
    behind("a zone is no address", {FROM: "fe80::1%x"}, "http", "r"),
    behind("an unknown client", {FROM: "6.6.6.6, unknown, 10.0.0.2"}, "http", "r", "10.0.0.2"),
    behind("trusted proxies alone", {FROM: "10.0.0.1, 10.0.0.2"}, "http", "r", "10.0.0.1", "10.0.0.2"),
    behind("empty elements", {FROM: " , 1.2.3.4,, "}, "http", "r", "1.2.3.4"),
    behind("X-Real-IP alone", {"x-real-ip": "1.2.3.4"}, "http", "r", "1.2.3.4"),
    behind("X-Real-IP that is none", {"x-real-ip": "x"}, "http", "r"),
    behind("X-Real-IP beside a list", {"x-real-ip": "6.6.6.6", FROM: "1.2.3.4"}, "http", "r", "1.2.3.4"),
    behind("X-Real-IP beside a list of none", {"x-real-ip": "6.6.6.6", FROM: "unknown"}, "http", "r"),
    behind("X-Real-IP beside Forwarded", {"x-real-ip": "6.6.6.6", "forwarded": "for=1.2.3.4"}, "http", "r", "1.2.3.4"),
    behind("X-Real-IP beside a Forwarded without it", {"x-real-ip": "6.6.6.6", "forwarded": "host=h"}, "http", "h"),
    # X-Forwarded-Proto, -Host, -Port
    behind("scheme and host", {PROTO: "HTTPS", HOST: "Reg.Example"}, "https", "reg.example"),
    behind("the nearest proxy's word", {PROTO: "http, https", HOST: "evil, reg"}, "https", "reg"),
    behind("a port for Host", {PROTO: "https", PORT: "8443"}, "https", "r:8443"),
    behind("a port for the forwarded host", {HOST: "reg", PORT: "8080"}, "http", "reg:8080"),
    behind("a port for an IPv6 host", {HOST: "[::1]", PORT: "8080"}, "http", "[::1]:8080"),
    behind("the host's own port wins", {HOST: "reg:5000", PORT: "8080"}, "http", "reg:5000"),
    behind("Host's own port wins", {"host": "r:5000", PORT: "8080"}, "http", "r:5000"),
    behind("the port that the scheme means", {PROTO: "https", PORT: "443"}, "https", "r"),
    behind("the port that another scheme means", {PROTO: "https", PORT: "80"}, "https", "r:80"),
    behind("a port that is none", {PORT: "x"}, "http", "r"),
    behind("a port of nought", {PORT: "0"}, "http", "r"),
    behind("a port past the last", {PORT: "65536"}, "http", "r"),
    # Lists that grow beside the addresses: Apache appends to all four.
    behind(
        "Apache behind Apache",
        {FROM: "203.0.113.7, 10.0.0.2", PROTO: "https, http", HOST: "outer.example, inner.example", PORT: "443, 80"},
        "https",
        "outer.example",
        "203.0.113.7",
        "10.0.0.2",
    ),
    behind(
        "with spaces, in capitals, over two lines",
        {FROM: "203.0.113.7 ,10.0.0.2", PROTO: " HTTPS ,http", HOST: "Outer.Example\t, inner.example"},
        "https",
        "outer.example:8443",
        "203.0.113.7",
        "10.0.0.2",
        extra=[(PORT, "8443"), (PORT, "80")],
    ),
    behind(
        "the client prepended to each",
        {FROM: "6.6.6.6, 203.0.113.7, 10.0.0.2", PROTO: "ftp, https, http", HOST: "evil, outer, inner"},
        "https",
        "outer",
        "203.0.113.7",
        "10.0.0.2",
    ),
    behind(
        "more proxies than elements",
        {FROM: "203.0.113.7, 10.0.0.1, 10.0.0.2, 10.0.0.3", PROTO: "https, http", HOST: "outer, inner"},
        "https",
        "outer",
        "203.0.113.7",
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.3",
    ),
    behind(
        "nginx behind nginx overwrites",
        {FROM: "203.0.113.7, 10.0.0.2", PROTO: "https", HOST: "outer", PORT: "8443"},
        "https",
        "outer:8443",
        "203.0.113.7",
        "10.0.0.2",
    ),
    behind(
        "a port that only the nearest proxy wrote is not the outermost one's",
        {FROM: "203.0.113.7, 10.0.0.2", PROTO: "https, http", HOST: "outer, inner", PORT: "80"},
        "https",
        "outer",
        "203.0.113.7",
        "10.0.0.2",
    ),
    behind(
        "a host that every proxy passed on",
        {FROM: "203.0.113.7, 10.0.0.2", PROTO: "https, http", HOST: "outer"},
        "https",
        "outer",
        "203.0.113.7",
        "10.0.0.2",
    ),
    behind(
        "a client that is a trusted machine wrote nothing",
        {FROM: "10.0.0.1, 10.0.0.2", PROTO: "ftp, https, http", HOST: "evil, outer, inner"},
        "https",
        "outer",
        "10.0.0.1",
        "10.0.0.2",
    ),
    behind(
        "a client without an address",
        {FROM: "6.6.6.6, unknown, 10.0.0.2", PROTO: "ftp, https, http"},
        "https",
        "r",
        "10.0.0.2",
    ),
    behind(
        "addresses by Forwarded alone",
        {"forwarded": "for=203.0.113.7, for=10.0.0.2", PROTO: "https, http", HOST: "outer, inner"},
        "https",
        "outer",
        "203.0.113.7",
        "10.0.0.2",
    ),
    behind(
        "both kinds, each with the outermost proxy's word",
        {
            "forwarded": "for=203.0.113.7;proto=https;host=outer, for=10.0.0.2;proto=http;host=inner",
            FROM: "203.0.113.7, 10.0.0.2",
            PROTO: "https, http",
            HOST: "outer, inner",
        },
        "https",
        "outer",
        "203.0.113.7",
        "10.0.0.2",
    ),
    # Forwarded
    behind("RFC 7239", {"forwarded": 'for=1.2.3.4;proto=https;host="reg:5000"'}, "https", "reg:5000", "1.2.3.4"),
    behind("in capitals", {"forwarded": "For=1.2.3.4;Proto=HTTPS;HOST=REG"}, "https", "reg", "1.2.3.4"),
    behind("spaces and empty pairs", {"forwarded": " ;for=1.2.3.4 ; ; proto=https ,"}, "https", "r", "1.2.3.4"),
    behind("quotes forgotten", {"forwarded": "for=[fd00::1]:80;host=reg:5000"}, "http", "reg:5000", "fd00::1"),
    behind("quoted, with an escape", {"forwarded": r'for="1.2.3\.4"'}, "http", "r", "1.2.3.4"),
    behind("by and others", {"forwarded": "by=_me;for=1.2.3.4;secret=x"}, "http", "r", "1.2.3.4"),
    behind("a hidden client", {"forwarded": "for=6.6.6.6, for=_hidden;proto=https"}, "https", "r"),
    behind("a scheme that is none", {"forwarded": "proto=ftp;host=reg"}, "http", "reg"),
    behind(
        "the client prepended an element",
        {"forwarded": "for=6.6.6.6;host=evil;proto=https, for=1.2.3.4;host=reg"},
        "http",
        "reg",
        "1.2.3.4",
    ),
    behind(
        "the outermost trusted proxy's word",
        {"forwarded": 'for=1.2.3.4;host=reg;proto=https, for="[2001:db8::2]";host=inner;proto=http'},
        "https",
        "reg",
        "1.2.3.4",
        "2001:db8::2",
    ),
    behind(
        "the next one's where it says nothing",
        {"forwarded": "for=1.2.3.4, for=10.0.0.2;host=reg;proto=https"},
        "https",
        "reg",
        "1.2.3.4",
        "10.0.0.2",
    ),
    behind(
        "over two lines",
        {"forwarded": "for=6.6.6.6;host=evil"},
        "http",
        "reg",
        "1.2.3.4",
        extra=[("forwarded", "for=1.2.3.4;host=reg")],
    ),
    # Both
    behind(
        "both say the same",
        {"forwarded": "for=1.2.3.4;host=REG;proto=https", FROM: "1.2.3.4", HOST: "reg:443", PROTO: "https"},
        "https",
        "reg",
        "1.2.3.4",
    ),
    behind("each says a part", {"forwarded": "for=1.2.3.4;host=reg", PROTO: "https"}, "https", "reg", "1.2.3.4"),
    behind("a port that Forwarded has too", {"forwarded": "host=reg:81", PORT: "81"}, "http", "reg:81"),
    behind("one knows no address", {"forwarded": "for=1.2.3.4", FROM: "unknown"}, "http", "r", "1.2.3.4"),
    behind(
        "one knows the way better",
        {"forwarded": "for=1.2.3.4", FROM: "6.6.6.6, 1.2.3.4"},
        "http",
        "r",
        "1.2.3.4",
    ),
]


def encoded(pairs: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in pairs]


@pytest.mark.parametrize("row", [*ROWS, *BEHIND], ids=attrgetter("what"))
def test_origin(row: Row) -> None:
    pairs = [*row.headers.items(), *row.extra]
    view = decide_client_view(
        peer=row.peer,
        scheme=row.scheme,
        headers=encoded(pairs),
        own_authority="own:1",
        trusted=[ipaddress.ip_network(network) for network in row.trusted],
        public_url=row.public_url,
    )
    assert (view.scheme, view.authority, view.client) == row.expected
    assert view.forwarded_for == row.forwarded_for


CONTRADICTIONS: dict[str, dict[str, str]] = {
    "client": {"forwarded": "for=1.2.3.4", FROM: "6.6.6.6"},
    "client of whom only one proxy knows": {"forwarded": "for=6.6.6.6", FROM: "6.6.6.6, 1.2.3.4"},
    "scheme": {"forwarded": "proto=http", PROTO: "https"},
    "host": {"forwarded": "host=reg", HOST: "evil"},
    "host by its port": {"forwarded": "host=reg:5000", HOST: "reg"},
    "host by the port": {"forwarded": "host=reg", PORT: "8080"},
    "malformed by quotes that do not end": {"forwarded": 'for="6.6.6.6, for=1.2.3.4'},
    "malformed by quotes that end in the next element": {"forwarded": 'for="6.6.6.6, for="[fd00::1]"'},
    "malformed by a name without a value": {"forwarded": "for, for=1.2.3.4"},
    "malformed by a value without quotes": {"forwarded": "for=a b"},
    "appears twice in one element": {"forwarded": "for=1.2.3.4;for=6.6.6.6"},
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_what_cannot_be_believed_is_refused(what: str) -> None:
    headers = encoded([("host", "r"), *CONTRADICTIONS[what].items()])
    with pytest.raises(ForwardedInvalid, match=what.split(maxsplit=1)[0]):
        decide_client_view(
            peer="10.0.0.9",
            scheme="http",
            headers=headers,
            own_authority="own",
            trusted=[ipaddress.ip_network("10.0.0.0/8")],
        )
    assert decide_client_view(peer="10.0.0.9", scheme="http", headers=headers, own_authority="own").client == "10.0.0.9"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([(FROM, ", ".join(["10.0.0.1"] * 201))], id="addresses"),
        pytest.param([(FROM, "10.0.0.1")] * 201, id="lines"),
        pytest.param([("forwarded", ",".join(["for=10.0.0.1"] * 201))], id="elements of Forwarded"),
        pytest.param([("forwarded", "x=1;" * 201)], id="pairs of Forwarded"),
        pytest.param([(FROM, "1.2.3.4"), (PROTO, "," * 200)], id="empty elements"),
    ],
)
def test_lists_that_only_a_client_makes_are_refused(headers: list[tuple[str, str]]) -> None:
    lists = encoded([("host", "r"), *headers])
    trusted = [ipaddress.ip_network("10.0.0.0/8")]
    with pytest.raises(ForwardedInvalid, match="more than the limit of 200"):
        decide_client_view(peer="10.0.0.9", scheme="http", headers=lists, own_authority="own", trusted=trusted)
    # From a peer that is not trusted they are not even read.
    decide_client_view(peer="192.0.2.1", scheme="http", headers=lists, own_authority="own", trusted=trusted)


@pytest.mark.parametrize("host", ['a"b', "a b", "a/b", "user@host", "a\\b", "host:port", "[zz]", "a\x00b"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(NameInvalid):
        decide_client_view(peer="", scheme="https", headers=[(b"host", host.encode())], own_authority="own")


def test_locations_are_absolute_or_relative_as_configured() -> None:
    assert ClientView("https", "r:5000", "c").location("/v2/x") == "https://r:5000/v2/x"
    assert ClientView("https", "r:5000", "c", relative_locations=True).location("/v2/x") == "/v2/x"
