"""TLS: handshakes that fail, versions, keys that change, and plain HTTP sent to this port."""

import fcntl
import json
import re
import socket
import ssl
import subprocess
import termios
from collections.abc import Iterator
from typing import Any

import pytest

from authproxy.asgi import Receive, Scope, Send, body_pieces, respond
from authproxy.http.server.tls import HANDSHAKE_WITHIN_S, TlsTransport
from tests.support.binaries import binary
from tests.support.http1 import Serving, Tls, read_all, serving

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    size = sum([len(piece) async for piece in body_pieces(receive)])
    await respond(send, 200, [("Content-Length", "0"), ("Size", str(size))])


@pytest.fixture
def server(tls: Tls) -> Iterator[Serving]:
    with serving(app, tls) as thread:
        yield thread


def wrap(server: Serving, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(server.connect(plain=True), server_hostname="localhost")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls(server: Serving, tls: Tls, version: ssl.TLSVersion) -> None:
    context = tls.client()
    context.minimum_version = context.maximum_version = version
    with wrap(server, context) as client:
        client.sendall(REQUEST)
        assert read_all(client).startswith(b"HTTP/1.1 200 OK")
        assert client.version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]


def said(capfd: pytest.CaptureFixture[str]) -> str:
    out, err = capfd.readouterr()
    return re.sub(r"\x1b\[[0-9;]*m", "", out + err)


def test_a_client_that_does_not_trust_the_certificate_is_named_in_the_log(
    server: Serving, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError), server.connect(plain=True) as plain:
        ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")
    server.wait(lambda: "unknown ca" in said(capfd))
    assert server.state.connections == set()


def test_a_client_without_a_cipher_of_ours_is_turned_away(server: Serving, tls: Tls) -> None:
    context = tls.client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA")
    with pytest.raises(ssl.SSLError):
        wrap(server, context)
    assert server.ask(REQUEST).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("sent", [b"", b"\x16", bytes.fromhex("160301"), b"SSH-2.0-OpenSSH_9.2\r\n", b"\0" * 100])
@pytest.mark.parametrize("how", ["leaves", "resets"])
def test_who_does_not_shake_hands_leaves_nothing_behind(
    server: Serving, sent: bytes, how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    client = server.connect(plain=True)
    client.sendall(sent)
    if how == "resets":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
    client.close()
    assert server.ask(REQUEST).startswith(b"HTTP/1.1 200 OK")
    server.wait(lambda: all(accepted.fileno() < 0 for accepted in server.loop._accepted))
    assert server.connections[0] not in server.state.connections


def test_a_handshake_that_never_ends_is_not_waited_for(server: Serving) -> None:
    with server.connect(plain=True) as client:
        client.sendall(bytes.fromhex("160301"))
        server.wait(lambda: server.connections)
        server.later(HANDSHAKE_WITHIN_S - 1)
        server.later(1)
        assert read_all(client) == b""
    assert server.state.connections == set()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
def test_plain_http_is_told_to_use_tls(server: Serving, method: str) -> None:
    with server.connect(plain=True) as client:
        client.sendall(f"{method} /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head, _, text = read_all(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n")
    message = "this port speaks HTTPS, and the request was plain HTTP: use https://"
    assert json.loads(text) == {"errors": [{"code": "UNSUPPORTED", "message": message}]}
    assert f"content-length: {len(text)}".encode() in head


def test_a_session_can_be_resumed(server: Serving, tls: Tls) -> None:
    context = tls.client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with wrap(server, context) as client:
        session = client.session
    again = context.wrap_socket(server.connect(plain=True), server_hostname="localhost", session=session)
    with again as client:
        client.sendall(REQUEST)
        assert read_all(client).startswith(b"HTTP/1.1 200 OK")
        assert client.session_reused


def run_openssl(server: Serving, tls: Tls, typed: list[bytes], *options: str) -> bytes:
    """What openssl s_client says when this is typed, each when the one before has been read: it has commands."""
    with subprocess.Popen(
        [binary("openssl"), "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile", str(tls.ca), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        typing = client.stdin.fileno()
        server.wait(lambda: server.state.connections)
        for line in typed:
            client.stdin.write(line)
            client.stdin.flush()
            server.wait(lambda: not any(fcntl.ioctl(typing, termios.FIONREAD, bytes(4))))
        return client.stdout.read()


BODY = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\n"


def test_a_client_may_ask_for_new_keys_in_the_middle_of_a_request(server: Serving, tls: Tls) -> None:
    """RFC 8446 §4.6.3: K asks for ours too."""
    output = run_openssl(server, tls, [BODY[:-2], b"K\n", b"\r\n", b"K\n", b"k\n", b"abcd"], "-tls1_3")
    assert b"KEYUPDATE" in output
    assert b"HTTP/1.1 200 OK" in output
    assert b"size: 4" in output


def test_a_client_may_not_renegotiate(server: Serving, tls: Tls) -> None:
    output = run_openssl(server, tls, [BODY, b"R\n"], "-tls1_2")
    assert b"RENEGOTIATING" in output
    assert b"no renegotiation" in output
    assert server.ask(REQUEST).startswith(b"HTTP/1.1 200 OK")


class Owing:
    """OpenSSL where it must send before it can read on, as long as `owes` says so."""

    def __init__(self, openssl: Any) -> None:
        self.openssl = openssl
        self.owes = True
        self.tries = 0

    def read(self, size: int, room: memoryview) -> int:
        if self.owes:
            self.tries += 1
            raise ssl.SSLWantWriteError
        count: int = self.openssl.read(size, room)
        return count

    def __getattr__(self, name: str) -> Any:
        return getattr(self.openssl, name)


def test_what_tls_must_send_first_is_waited_for_without_trying_all_the_time(tls: Tls) -> None:
    size = 64 * 1024 * 1024

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 200, [("Content-Length", str(size))], bytes(size))

    with serving(large, tls) as server, server.connect() as client:
        client.sendall(REQUEST.replace(b"Connection: close\r\n", b""))
        server.wait(lambda: any(made.is_behind for made in server.connections))  # so nothing can be sent
        transport = server.connections[0]._transport
        assert isinstance(transport, TlsTransport)
        transport._openssl = owing = Owing(transport._openssl)
        client.sendall(REQUEST)
        server.wait(lambda: owing.tries)
        for _ in range(20):
            server.call(lambda: None)  # a turn of the loop, in which the socket has something to read
        assert owing.tries == 1
        owing.owes = False
        assert len(read_all(client)) > 2 * size
