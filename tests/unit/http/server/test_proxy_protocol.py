"""The PROXY protocol before TLS and before plain HTTP: the client's address, and no byte of what follows it lost."""

import socket
import struct
from contextlib import suppress
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from authproxy.asgi import Receive, Scope, Send, respond
from authproxy.http.server.options import Options
from authproxy.http.server.proxy_protocol import MAX_BINARY_BYTES, WITHIN_S, Peer, Preamble, parse_preamble
from tests.support.http1 import Serving, Tls, read_all, running

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
IPV4 = b"\x01\x02\x03\x04" + b"\x0a\0\0\x01" + struct.pack("!HH", 567, 443)
IPV6 = bytes.fromhex("20010db8" + "00" * 11 + "07") + bytes(16) + struct.pack("!HH", 567, 443)


def binary(command: int, family: int, rest: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


class Row(NamedTuple):
    what: str
    sent: bytes
    client: Peer | None = None


ROWS = [
    Row("IPv4", b"PROXY TCP4 1.2.3.4 10.0.0.1 567 443\r\n", ("1.2.3.4", 567)),
    Row("IPv6", b"PROXY TCP6 2001:DB8:0::7 ::1 567 443\r\n", ("2001:db8::7", 567, 0, 0)),
    Row("port 0", b"PROXY TCP4 1.2.3.4 10.0.0.1 0 443\r\n", ("1.2.3.4", 0)),
    Row("unknown", b"PROXY UNKNOWN\r\n"),
    Row("unknown, with more", b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"),
    Row("version 2, IPv4", binary(0x21, 0x11, IPV4), ("1.2.3.4", 567)),
    Row("version 2, IPv6", binary(0x21, 0x21, IPV6), ("2001:db8::7", 567, 0, 0)),
    Row("version 2, with more", binary(0x21, 0x11, IPV4 + b"\x03\0\x04abcd"), ("1.2.3.4", 567)),
    Row("version 2, for itself", binary(0x20, 0x11, IPV4)),
    Row("version 2, for itself, without addresses", binary(0x20, 0, b"")),
    Row("version 2, unknown", binary(0x21, 0, b"")),
    Row("version 2, UDP", binary(0x21, 0x12, IPV4)),
    Row("version 2, a Unix socket", binary(0x21, 0x31, bytes(216))),
]


@pytest.mark.parametrize("row", ROWS, ids=[row.what for row in ROWS])
def test_who_a_proxy_speaks_for(row: Row) -> None:
    wanted = Preamble(len(row.sent), row.client)
    assert parse_preamble(row.sent) == wanted
    assert parse_preamble(row.sent + row.sent) == wanted
    assert [parse_preamble(row.sent[:end]) for end in range(len(row.sent))] == [None] * len(row.sent)


REFUSED = {
    "HTTP": b"GET / HTTP/1.1\r\n",
    "TLS": bytes.fromhex("16030100f1"),
    "in small letters": b"proxy TCP4 1.2.3.4 10.0.0.1 567 443\r\n",
    "no port": b"PROXY TCP4 1.2.3.4 10.0.0.1 567\r\n",
    "two spaces": b"PROXY  TCP4 1.2.3.4 10.0.0.1 567 443\r\n",
    "UDP": b"PROXY UDP4 1.2.3.4 10.0.0.1 567 443\r\n",
    "a port past the last": b"PROXY TCP4 1.2.3.4 10.0.0.1 65536 443\r\n",
    "a port with a nought": b"PROXY TCP4 1.2.3.4 10.0.0.1 0567 443\r\n",
    "another family": b"PROXY TCP4 ::1 ::1 567 443\r\n",
    "no address": b"PROXY TCP4 1.2.3 10.0.0.1 567 443\r\n",
    "a bare line feed": b"PROXY TCP4 1.2.3.4 10.0.0.1 567 443\n" + b"x" * 107,
    "no end": b"PROXY UNKNOWN " + b"x" * 107,
    "version 2, another version": binary(0x11, 0x11, IPV4),
    "version 2, another command": binary(0x22, 0x11, IPV4),
    "version 2, cut off": binary(0x21, 0x11, IPV4[:-1]),
    "version 2, too long": binary(0x21, 0x11, bytes(MAX_BINARY_BYTES)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_preamble_is_refused(what: str) -> None:
    with pytest.raises(ValueError, match=r"it|address"):
        parse_preamble(REFUSED[what])


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda rest: SIGNATURE + rest))
def test_any_bytes_are_a_preamble_or_none(data: bytes) -> None:
    try:
        preamble = parse_preamble(data)
    except ValueError:
        return
    assert preamble is None or preamble.length <= len(data)


async def tell(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the client's address."""
    host, port = scope["client"]
    body = f"{host} {port}".encode()
    await respond(send, 200, [("Content-Length", str(len(body)))], body)


def from_loopback(address: str) -> bool:
    return address == "127.0.0.1"


def from_nobody(address: str) -> bool:
    return not address


ASK = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def ask(server: Serving, tls: Tls | None, *preamble: bytes) -> bytes:
    """Send the pieces of a preamble, each on its own, then one request; all of the answer."""
    with server.connect(plain=True) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in preamble:
            plain.sendall(piece)
            server.call(lambda: None)  # the loop has had a turn
        if tls is None:
            plain.sendall(ASK)
            return read_all(plain)
        with tls.client().wrap_socket(plain, server_hostname="localhost") as wrapped:
            wrapped.sendall(ASK)
            return read_all(wrapped)


@pytest.mark.parametrize("row", ROWS, ids=[row.what for row in ROWS])
@pytest.mark.parametrize("size", [1, 1000], ids=["byte by byte", "at once"])
def test_the_client_is_whom_the_proxy_names(maybe_tls: Tls | None, row: Row, size: int) -> None:
    with running(Serving(tell, maybe_tls, Options(sends_preamble=from_loopback))) as server:
        pieces = [row.sent[start : start + size] for start in range(0, len(row.sent), size)]
        head, _, body = ask(server, maybe_tls, *pieces).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    host, port = body.decode().split()
    assert (host, int(port)) == row.client[:2] if row.client else host == "127.0.0.1"


def test_what_follows_in_the_same_piece_is_the_request() -> None:
    with running(Serving(tell, None, Options(sends_preamble=from_loopback))) as server:
        assert server.ask(ROWS[0].sent + ASK).endswith(b"1.2.3.4 567")


def test_peers_that_are_not_trusted_name_nobody() -> None:
    with running(Serving(tell, None, Options(sends_preamble=from_nobody))) as server:
        assert b"127.0.0.1" in server.ask(ASK)
        assert server.ask(ROWS[0].sent + ASK).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("sent", [ASK, b"PROXY TCP4 x\r\n", b"PROXY TCP4"])
def test_a_trusted_peer_that_says_nothing_is_not_served(sent: bytes) -> None:
    with capture_logs() as logs, running(Serving(tell, None, Options(sends_preamble=from_loopback))) as server:
        with server.connect() as client:
            client.sendall(sent)
            with suppress(OSError):  # the server may have hung up before
                client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b""
        server.wait(lambda: logs)
    assert [entry["event"] for entry in logs] == ["no PROXY preamble"]


def test_a_preamble_is_not_waited_for_for_ever() -> None:
    with (
        running(Serving(tell, None, Options(sends_preamble=from_loopback))) as server,
        server.connect() as client,
    ):
        client.sendall(b"PROXY ")
        server.wait(lambda: server.connections)
        server.later(WITHIN_S + 1)
        assert read_all(client) == b""


def test_a_server_that_ends_serves_nobody_who_was_waited_for() -> None:
    with (
        running(Serving(tell, None, Options(sends_preamble=from_loopback))) as server,
        server.connect() as client,
    ):
        client.sendall(b"PROXY ")
        server.wait(lambda: server.connections)
        server.call(server.server.close)
        client.sendall(ROWS[0].sent.removeprefix(b"PROXY ") + ASK)
        assert read_all(client) == b""
