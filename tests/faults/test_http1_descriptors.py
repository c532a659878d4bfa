"""Connections of every kind end without leaving a descriptor, and where none is left the server waits for one."""

import resource
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.support.server import Server, running_server

REQUEST = b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
RESET = struct.pack("ii", 1, 0)
WITHIN_S = 20.0
# Lingering connections take two seconds where the peer stays silent; the tests close theirs.
MANY = 1200


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of this test's own, whose descriptors are counted."""
    with running_server(tmp_path / "server") as running:
        yield running


def pid(server: Server) -> int:
    assert server.process is not None
    return server.process.pid


def descriptors(server: Server) -> int:
    return len(list(Path(f"/proc/{pid(server)}/fd").iterdir()))


def wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=WITHIN_S)


def test_short_connections_of_every_kind_leave_no_descriptor(server: Server) -> None:
    trust = ssl.create_default_context(cafile=str(server.ca))
    distrust = ssl.create_default_context()

    def ask() -> None:
        with trust.wrap_socket(connect(server), server_hostname="localhost") as client:
            client.sendall(REQUEST)
            assert client.recv(12) == b"HTTP/1.1 401"

    def leave_at_once() -> None:
        connect(server).close()

    def reset() -> None:
        with connect(server) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def break_off_the_handshake() -> None:
        with connect(server) as client:
            client.sendall(bytes.fromhex("1603010100"))

    def distrust_it() -> None:
        with connect(server) as client, pytest.raises(ssl.SSLCertVerificationError):
            distrust.wrap_socket(client, server_hostname="localhost")

    def speak_plain_http() -> None:
        with connect(server) as client:
            client.sendall(REQUEST)
            assert client.recv(12) == b"HTTP/1.1 400"

    def break_off_a_request() -> None:
        with trust.wrap_socket(connect(server), server_hostname="localhost") as client:
            client.sendall(b"PUT /v2/a/manifests/b HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")

    kinds = [ask, leave_at_once, reset, break_off_the_handshake, distrust_it, speak_plain_http, break_off_a_request]
    for kind in kinds:
        kind()
    before = descriptors(server)
    for index in range(MANY):
        kinds[index % len(kinds)]()
    wait(lambda: descriptors(server) <= before, f"{descriptors(server)} descriptors, and {before} before")


def test_where_no_descriptor_is_left_open_connections_are_served_and_later_new_ones(server: Server) -> None:
    trust = ssl.create_default_context(cafile=str(server.ca))
    ask = REQUEST.replace(b"Connection: close\r\n", b"")
    with trust.wrap_socket(connect(server), server_hostname="localhost") as kept:
        kept.sendall(ask)
        assert kept.recv(65536).startswith(b"HTTP/1.1 401")
        limit = resource.prlimit(pid(server), resource.RLIMIT_NOFILE)
        resource.prlimit(pid(server), resource.RLIMIT_NOFILE, (descriptors(server) + 5, limit[1]))
        with ExitStack() as others:
            for _ in range(30):
                others.enter_context(connect(server))
            wait(lambda: "no more connections can be accepted" in server.output, server.output)
            kept.sendall(ask)
            assert kept.recv(65536).startswith(b"HTTP/1.1 401")
        resource.prlimit(pid(server), resource.RLIMIT_NOFILE, limit)

        def serves() -> bool:
            with suppress(OSError), trust.wrap_socket(connect(server), server_hostname="localhost") as client:
                client.sendall(REQUEST)
                return client.recv(12) == b"HTTP/1.1 401"
            return False

        wait(serves, server.output)
    assert server.output.count("no more connections can be accepted") == 1  # in a minute, not for each try
    assert "Traceback" not in server.output
