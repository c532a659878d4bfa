"""What connections hold: idle ones little, and those of slow clients no more than a few pieces of what they send."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.image import open_upload
from tests.support.people import OPERATOR
from tests.support.server import Server, running_server

REPOSITORY = "admin/slow"
SCOPE = f"repository:{REPOSITORY}:pull,push"
KIB = 1024
MIB = 1024 * KIB


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of this test's own, whose memory is measured."""
    with running_server(tmp_path / "server") as running:
        yield running


def resident(server: Server) -> int:
    """Bytes of memory that are in use."""
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * KIB


def connect(server: Server, trust: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    return trust.wrap_socket(plain, server_hostname="localhost")


def ask(client: ssl.SSLSocket) -> None:
    client.sendall(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert client.recv(65536).startswith(b"HTTP/1.1 401")


def test_an_idle_connection_holds_little(server: Server) -> None:
    """Nearly all of it is OpenSSL's."""
    count = 200
    trust = ssl.create_default_context(cafile=str(server.ca))
    with ExitStack() as clients:
        for _ in range(20):
            ask(clients.enter_context(connect(server, trust)))
        before = resident(server)
        for _ in range(count):
            ask(clients.enter_context(connect(server, trust)))
        each = (resident(server) - before) / count
    assert each < 150 * KIB


def test_clients_that_stop_in_the_middle_of_a_body_hold_a_few_pieces(server: Server) -> None:
    count = 40
    trust = ssl.create_default_context(cafile=str(server.ca))
    with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as operator, ExitStack() as clients:
        authorization = operator.headers["Authorization"]
        before = resident(server)
        for _ in range(count):
            address = open_upload(operator, REPOSITORY)
            client = clients.enter_context(connect(server, trust))
            head = (
                f"PATCH {address.raw_path.decode()} HTTP/1.1\r\nHost: {server.host}\r\nContent-Length: {64 * MIB}\r\n"
            )
            client.sendall(f"{head}Authorization: {authorization}\r\n\r\n".encode())
            client.sendall(bytes(8 * MIB + 100))
        time.sleep(0.2)  # pieces that are not full wait a fiftieth of a second for more
        each = (resident(server) - before) / count
    assert each < 2.5 * MIB  # of which most are the storage driver's buffers
