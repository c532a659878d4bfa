"""Connections that say nothing keep nobody out, and nothing that runs beside the requests from its work."""

import hashlib
import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Self

import httpx
import pytest

from tests.support.binaries import binary
from tests.support.certificates import make, shown_by
from tests.support.cheap_users import add_cheap_users
from tests.support.people import ALICE, BOB
from tests.support.program import environment, succeed
from tests.support.server import ADMIN, ADMIN_PASSWORD, AUTHPROXY, Server, free_port, running_server

DESCRIPTORS = 256
MOST = 96  # connections of those: see budget.py
SILENT = 400
ANEW = 1  # in a tenth of a second
# What is promised is two seconds; the rest is for a busy machine.
WITHIN_S = 20.0
BLOB = bytes(range(256)) * 4096
DIGEST = f"sha256:{hashlib.sha256(BLOB).hexdigest()}"
DENY_ALL = """\
version: 1
rules:
  - name: nobody pushes
    deny: [push]
    to: {signed-in: true}
    on: {repositories: ["**"]}
"""

FROM_ONE = ["127.0.0.9"]
FROM_MANY = [f"127.0.{i // 200}.{i % 200 + 20}" for i in range(SILENT)]
FROM_OURS = ["127.0.0.1"]


class Silent:
    """Connections that say nothing; where the server ends them others come, until the end of the block.

    Many at once, then some a second: who comes quicker than clients shake hands has an attack of another kind.
    """

    def __init__(self, port: int, sources: Sequence[str]) -> None:
        self.came = 0
        self._port = port
        self._sources = sources
        self._open: dict[int, socket.socket] = {}
        self._stop = Event()
        self._thread = Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for client in self._open.values():
            client.close()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            most = self.came + ANEW if self.came >= SILENT else SILENT
            for index in range(SILENT):
                if (client := self._open.get(index)) is not None and not _has_ended(client):
                    continue
                if self.came == most:
                    break
                if client is not None:
                    client.close()
                    del self._open[index]
                source = self._sources[index % len(self._sources)]
                with suppress(OSError):
                    self._open[index] = socket.create_connection(
                        ("127.0.0.1", self._port), timeout=5, source_address=(source, 0)
                    )
                    self._open[index].setblocking(False)
                    self.came += 1


def _has_ended(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    settings = {
        "REGISTRY_HTTP_DEBUG_ADDR": f"127.0.0.1:{free_port()}",
        "REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED": "true",
    }
    add_cheap_users(tmp_path / "server", [(ALICE.name, ALICE.password), (BOB.name, BOB.password)])
    with running_server(
        tmp_path / "server", settings, through=(binary("prlimit"), f"--nofile={DESCRIPTORS}")
    ) as running:
        yield running


def login(server: Server, name: str, password: str, scope: str = "") -> httpx.Response:
    """Over a connection of its own, as each login of docker is."""
    with server.client() as client:
        return client.get("/token", params={"scope": scope} if scope else {}, auth=(name, password))


def metric(server: Server, name: str) -> float:
    told = httpx.get(f"http://{server.settings['REGISTRY_HTTP_DEBUG_ADDR']}/metrics", trust_env=False).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", told, re.MULTILINE)
    assert found is not None, told
    return float(found[1])


@pytest.mark.parametrize(
    "sources", [FROM_ONE, FROM_MANY, FROM_OURS], ids=["of one address", "of an address each", "of the clients' own"]
)
def test_silent_connections_switch_nothing_off(server: Server, sources: Sequence[str], tmp_path: Path) -> None:
    with server.client_for(ADMIN, ADMIN_PASSWORD, "repository:team/app:pull,push") as client:
        location = client.post("/v2/team/app/blobs/uploads/").headers["Location"]
        pushed = client.put(f"{location}&digest={DIGEST}", content=BLOB)
        assert pushed.status_code == httpx.codes.CREATED, pushed.text
    with Silent(server.port, sources) as silent:
        server.wait_until(lambda: silent.came >= SILENT, WITHIN_S)
        for _ in range(10):
            with server.client_for(ADMIN, ADMIN_PASSWORD, "repository:team/app:pull") as client:
                begun = time.monotonic()
                assert client.get(f"/v2/team/app/blobs/{DIGEST}").content == BLOB
                assert time.monotonic() - begun < WITHIN_S
        assert login(server, BOB.name, BOB.password).status_code == httpx.codes.OK
        succeed(AUTHPROXY, "user", "disable", BOB.name, env=environment(server.folder), cwd=server.folder)
        server.wait_until(
            lambda: login(server, BOB.name, BOB.password).status_code == httpx.codes.UNAUTHORIZED, WITHIN_S
        )
        scope = f"repository:{ALICE.name}/app:push"

        def may_push() -> bool:
            form = {"grant_type": "password", "username": ALICE.name, "password": ALICE.password, "scope": scope}
            with server.client() as client:
                return "push" in str(client.post("/token", data=form).json()["scope"])

        assert may_push()
        (server.folder / "policies" / "deny.yaml").write_text(DENY_ALL)
        server.wait_until(lambda: not may_push(), WITHIN_S)
        renewed = make(tmp_path / "renewed")
        (server.folder / "certs" / "server.pem").write_bytes(renewed.certificate)
        (server.folder / "data" / "server.key").write_bytes(renewed.key)
        server.wait_until(lambda: shown_by(server.port).serial_number == renewed.serial, WITHIN_S)
        server.ca.write_bytes(renewed.authority)  # what clients trust
        assert login(server, ALICE.name, ALICE.password).status_code == httpx.codes.OK
        assert metric(server, "authproxy_max_connections") == MOST
        assert metric(server, "authproxy_connections") <= MOST
        assert metric(server, 'authproxy_connections_ended_total{reason="idle"}') >= SILENT - MOST
        assert metric(server, "process_open_fds") < DESCRIPTORS
    assert server.output.count("connections are used up") <= 2  # one a minute, not one a connection
    assert "no more connections can be accepted" not in server.output
