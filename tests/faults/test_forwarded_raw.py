"""What an upstream is told of who asked, by raw bytes over sockets: what untrusted peers say never arrives."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.support.edge import Edge, Recorder, edge

ABOUT_CLIENTS = (
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
    "X-Real-IP",
)


class Row(NamedTuple):
    """`told`: values of ABOUT_CLIENTS in their order, as the upstream gets them."""

    what: str
    sent: tuple[str, ...]
    told: tuple[str, str, str, str, str, str]


NOTHING_BELIEVED = (
    'for=127.0.0.1;host="reg:5000";proto=http',
    "127.0.0.1",
    "reg:5000",
    "5000",
    "http",
    "127.0.0.1",
)
UNTRUSTED = [
    Row("nothing", (), NOTHING_BELIEVED),
    Row("addresses", ("X-Forwarded-For: 6.6.6.6", "X-Real-IP: 6.6.6.6"), NOTHING_BELIEVED),
    Row(
        "in other letters",
        ("x-FORWARDED-for: 6.6.6.6", "X-REAL-ip: 6.6.6.6", "FORWARDED: for=6.6.6.6"),
        NOTHING_BELIEVED,
    ),
    Row("with underscores", ("X_Forwarded_For: 6.6.6.6", "X_Real_IP: 6.6.6.6"), NOTHING_BELIEVED),
    Row(
        "scheme, host and port",
        ("X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "X-Forwarded-Port: 1", "X-Forwarded-Server: evil"),
        NOTHING_BELIEVED,
    ),
    Row("RFC 7239", ("Forwarded: for=6.6.6.6;host=evil;proto=https", 'Forwarded: for="'), NOTHING_BELIEVED),
    Row(
        "ours named in Connection",
        ("Connection: x-forwarded-for, x-real-ip, forwarded, x-forwarded-host, host",),
        NOTHING_BELIEVED,
    ),
]
TRUSTED = [
    Row("nothing", (), NOTHING_BELIEVED),
    Row(
        "the older headers",
        ("X-Forwarded-For: 6.6.6.6, 1.2.3.4", "X-Forwarded-Proto: https", "X-Forwarded-Host: reg.example"),
        (
            'for=1.2.3.4;host="reg.example";proto=https, for=127.0.0.1',
            "1.2.3.4, 127.0.0.1",
            "reg.example",
            "443",
            "https",
            "1.2.3.4",
        ),
    ),
    Row(
        "RFC 7239",
        ('Forwarded: for=6.6.6.6, for="[fd00::1]:80";proto=https;host="[::1]:5001"',),
        (
            'for="[fd00::1]";host="[::1]:5001";proto=https, for=127.0.0.1',
            "fd00::1, 127.0.0.1",
            "[::1]:5001",
            "5001",
            "https",
            "fd00::1",
        ),
    ),
]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Recorder]:
    with Recorder() as recorder:
        yield recorder


@pytest.fixture(scope="module")
def wary(upstream: Recorder) -> Iterator[Edge]:
    with edge(upstream.url) as server:
        yield server


@pytest.fixture(scope="module")
def trusting(upstream: Recorder) -> Iterator[Edge]:
    with edge(upstream.url, {"trustedproxies": ["127.0.0.1"]}) as server:
        yield server


def told(server: Edge, upstream: Recorder, sent: tuple[str, ...]) -> list[list[str]]:
    last = () if any(line.startswith("Connection:") for line in sent) else ("Connection: close",)
    lines = ("GET /v2/ HTTP/1.1", "Host: reg:5000", *sent, *last, "", "")
    with server.connect() as client:
        client.sendall("\r\n".join(lines).encode())
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
    return [upstream.header(name) for name in ABOUT_CLIENTS]


@pytest.mark.parametrize("row", UNTRUSTED, ids=[row.what for row in UNTRUSTED])
def test_an_untrusted_peer_is_not_believed(wary: Edge, upstream: Recorder, row: Row) -> None:
    assert told(wary, upstream, row.sent) == [[value] for value in row.told]
    assert not any(word in upstream.heads[-1] for word in (b"6.6.6.6", b"evil", b"_"))


@pytest.mark.parametrize("row", TRUSTED, ids=[row.what for row in TRUSTED])
def test_a_trusted_proxy_is_believed_as_far_as_trusted_proxies_wrote(
    trusting: Edge, upstream: Recorder, row: Row
) -> None:
    assert told(trusting, upstream, row.sent) == [[value] for value in row.told]


def test_what_a_trusted_proxy_contradicts_itself_in_reaches_nobody(trusting: Edge, upstream: Recorder) -> None:
    asked = len(upstream.heads)
    answer = trusting.ask(
        b"GET /v2/ HTTP/1.1\r\nHost: r\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=6.6.6.6\r\n"
        b"Connection: close\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"UNSUPPORTED"' in answer
    assert len(upstream.heads) == asked
