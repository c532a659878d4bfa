"""Clients that take nothing, or send nothing, hold connections to the upstream: others are served all the same."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
import pytest

from authproxy import budget
from authproxy.http.client.slow_clients import Transfer
from authproxy.proxy import upstream
from tests.support.edge import Edge, edge
from tests.support.peers import running_docker_registry
from tests.support.registry import sha256
from tests.support.server import running_server

if TYPE_CHECKING:
    from authproxy.clock import Clock
    from authproxy.errors import RegistryError

CONTENT = bytes(24 * 1024 * 1024)
BLOB = f"/v2/team/app/blobs/{sha256(CONTENT)}"
GET = f"GET {BLOB} HTTP/1.1\r\nHost: a\r\n\r\n".encode()

# Of a test: what somebody else's request may take meanwhile. All 400 connections held made it 30 s, and then 503.
SERVED_WITHIN_S = 10.0


def push(url: str) -> None:
    opened = httpx.post(f"{url}/v2/team/app/blobs/uploads/")
    location = httpx.URL(opened.headers["location"]).copy_merge_params({"digest": sha256(CONTENT)})
    assert httpx.put(location, content=CONTENT, timeout=60).status_code == 201


def hold(stack: ExitStack, port: int, address: str, count: int, request: bytes = GET) -> list[socket.socket]:
    """Connections from a loopback address that ask, and take nothing of the answer."""
    held = []
    for _ in range(count):
        client = stack.enter_context(socket.socket())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(60)
        client.bind((address, 0))
        client.connect(("127.0.0.1", port))
        client.sendall(request)
        held.append(client)
    return held


def ask(port: int, address: str = "127.0.0.1") -> tuple[int, float]:
    """A small request from an address: its status, and how long it took in seconds."""
    transport = httpx.HTTPTransport(local_address=address)
    with httpx.Client(transport=transport, timeout=60) as client:
        began = time.monotonic()
        answer = client.get(f"http://127.0.0.1:{port}/v2/team/app/tags/list")
        return answer.status_code, time.monotonic() - began


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_docker_registry(tmp_path_factory.mktemp("held")) as url:
        push(url)
        yield url


def test_one_address_leaves_others_their_connections(registry: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("server")
    (folder / "config.yml").write_text(
        f"version: 0.1\nauth: none\nhttp: {{addr: '127.0.0.1:5000', workers: 1}}\nupstream: {{url: '{registry}'}}\n"
    )
    with running_server(folder, arguments=["config.yml"], has_tls=False) as server, ExitStack() as stack:
        hold(stack, server.port, "127.0.0.2", 410)
        for _ in range(5):
            status, seconds = ask(server.port, "127.0.0.3")
            assert status == 404  # nothing was tagged
            assert seconds < SERVED_WITHIN_S


@pytest.fixture
def transfers(monkeypatch: pytest.MonkeyPatch) -> list[Transfer]:
    """Those that are made from now on."""
    made: list[Transfer] = []

    class Noted(Transfer):
        def __init__(self, end: "Callable[[RegistryError], object]", now: "Clock") -> None:
            super().__init__(end, now)
            made.append(self)

    monkeypatch.setattr(upstream, "Transfer", Noted)
    return made


@pytest.fixture
def small(registry: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Edge]:
    """An edge with few connections, in a loop whose clock can be put forward."""
    monkeypatch.setattr(budget, "UPSTREAM_CONNECTIONS", 8)
    with edge(registry) as server:
        yield server


def test_who_is_over_the_share_waits_and_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "UPSTREAM_CONNECTIONS", 8)
    with socket.create_server(("127.0.0.1", 0)) as silent, ExitStack() as stack:  # connects, and never answers
        server = stack.enter_context(edge(f"http://127.0.0.1:{silent.getsockname()[1]}"))
        first, second, over = hold(stack, server.port, "127.0.0.2", 3)
        over.settimeout(0.2)
        with pytest.raises(TimeoutError):
            over.recv(1)
        server.later(31)
        over.settimeout(20)
        head = over.recv(65536)
        assert head.startswith(b"HTTP/1.1 429 ")
        assert f"retry-after: {budget.RETRY_AFTER_S}\r\n".encode() in head.lower()
        assert b"TOOMANYREQUESTS" in head
        for client in (first, second):  # the upstream is slow, and not its clients
            client.settimeout(0.1)
            with pytest.raises(TimeoutError):
                client.recv(1)


def test_stalled_readers_make_room_when_all_connections_are_held(small: Edge, transfers: list[Transfer]) -> None:
    with ExitStack() as stack:
        held = [*hold(stack, small.port, "127.0.0.2", 2), *hold(stack, small.port, "127.0.0.4", 2)]
        held += [*hold(stack, small.port, "127.0.0.5", 2), *hold(stack, small.port, "127.0.0.6", 2)]
        wait_stalled(small, transfers)
        small.later(budget.MAY_STALL_FOR_S + 1)
        status, seconds = ask(small.port)
        assert (status, seconds < SERVED_WITHIN_S) == (404, True)
        left = sum(is_open(client) for client in held)
        assert left == 7  # the one that was the furthest behind


def test_stalled_uploads_make_room_too(small: Edge, registry: str, transfers: list[Transfer]) -> None:
    opened = [httpx.post(f"{registry}/v2/team/app/blobs/uploads/").headers["location"] for _ in range(8)]
    with ExitStack() as stack:
        held = []
        for number, location in enumerate(opened):
            target = httpx.URL(location).raw_path
            head = b"PATCH %b HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" % target
            held += hold(stack, small.port, f"127.0.1.{number // 2 + 1}", 1, head + b"a")
        wait_stalled(small, transfers)
        small.later(budget.MAY_STALL_FOR_S + 1)
        status, seconds = ask(small.port)
        assert (status, seconds < SERVED_WITHIN_S) == (404, True)
        answers = [answer for client in held if (answer := read_now(client))]
        assert [answer[:13] for answer in answers] == [b"HTTP/1.1 408 "]
        assert b"while others waited" in answers[0]


def read_now(client: socket.socket) -> bytes:
    """What has come already."""
    client.setblocking(False)
    try:
        return client.recv(65536)
    except BlockingIOError:
        return b""


def wait_stalled(server: Edge, transfers: list[Transfer]) -> None:
    """Wait until all connections are held, and nothing moves on any of them."""
    server.wait(lambda: len(transfers) == 8 and all(transfer.stalled_s() > 0.2 for transfer in transfers))


def is_open(client: socket.socket) -> bool:
    """Whether all is still to be had, and not just what the buffers hold."""
    read = 0
    try:
        while read < len(CONTENT) and (piece := client.recv(1024 * 1024)):
            read += len(piece)
    except ConnectionError:
        return False
    return read >= len(CONTENT)
