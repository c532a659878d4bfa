"""Somebody guesses passwords as quickly as they can, and nobody else's login waits for it."""

import secrets
import socket
import ssl
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Self

import pytest

from tests.support.cheap_users import add_cheap_users
from tests.support.server import Server, running_server

GUESSERS = 40
TRIES = 10
LOGINS = 12
COST = 6  # a sixteenth of what is usual: it is the queue that is tested, and the machine may be busy
PASSWORD = "a password of theirs"
OURS = "127.0.0.1"


def ask_token(server: Server, source: str, user: str, password: str, *, keep: ssl.SSLSocket | None = None) -> int:
    """The status of one login from an address."""
    line = b64encode(f"{user}:{password}".encode()).decode()
    request = f"GET /token HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {line}\r\n\r\n".encode()
    if keep is not None:
        return _status(keep, request)
    with connect(server, source) as wire:
        return _status(wire, request)


def connect(server: Server, source: str) -> ssl.SSLSocket:
    trust = ssl.create_default_context(cafile=str(server.ca))
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=30, source_address=(source, 0))
    return trust.wrap_socket(plain, server_hostname="localhost")


def _status(wire: ssl.SSLSocket, request: bytes) -> int:
    """Where the machine has no time for hashing it is asked again: that is not what is tested here."""
    answer = b""
    for _ in range(TRIES):
        wire.sendall(request)
        answer = wire.recv(65536)
        if b"cannot be checked in time" not in answer:
            break
    return int(answer.split(b" ", 2)[1])


class Guessing:
    """So many connections from some addresses, on each of which one guess follows the other until the end of the block.

    `user`: at whose password; None: a name that does not exist, another each time.
    """

    def __init__(self, server: Server, sources: Sequence[str], user: str | None) -> None:
        self.statuses: list[int] = []
        self._server = server
        self._sources = sources
        self._user = user
        self._stop = Event()
        self._threads = [Thread(target=self._run, args=(i,)) for i in range(GUESSERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, index: int) -> None:
        source = self._sources[index % len(self._sources)]
        with connect(self._server, source) as wire:
            while not self._stop.is_set():
                name = self._user or f"u{secrets.token_hex(4)}"
                self.statuses.append(ask_token(self._server, source, name, secrets.token_hex(8), keep=wire))
                self._stop.wait(0.02)  # two thousand a second, where the server keeps up


@pytest.mark.parametrize(
    ("sources", "user"),
    [(["127.0.0.9"], None), (["127.0.0.9"], "user0"), (["127.0.0.9", "127.0.0.10", "127.0.0.11"], None)],
    ids=["at names that do not exist", "at a name of theirs", "from three addresses"],
)
def test_first_logins_of_others_all_succeed(tmp_path: Path, sources: Sequence[str], user: str | None) -> None:
    folder = tmp_path / "server"
    names = [f"user{i}" for i in range(LOGINS)]
    add_cheap_users(folder, [(name, PASSWORD) for name in names], cost=COST)
    with running_server(folder) as server:
        with Guessing(server, sources, user) as guessing:
            while len(guessing.statuses) < GUESSERS:
                assert ask_token(server, OURS, "", "") != 0
            assert [ask_token(server, OURS, name, PASSWORD) for name in names] == [200] * LOGINS
        assert 200 not in guessing.statuses
        assert 429 in guessing.statuses  # or there was nothing to wait for


@pytest.mark.parametrize(
    ("sources", "user"),
    [(["127.0.0.9"], None), (["127.0.0.9"], "user3"), ([f"127.0.0.{last}" for last in range(9, 14)], None)],
    ids=["at names that do not exist", "at a name of theirs", "from five addresses"],
)
def test_guesses_from_addresses_with_a_login_keep_no_first_login_out(
    tmp_path: Path, sources: Sequence[str], user: str | None
) -> None:
    """One password makes many addresses known, and none of them gets the queue for itself by that."""
    folder = tmp_path / "server"
    names = [f"user{i}" for i in range(LOGINS)]
    add_cheap_users(folder, [(name, PASSWORD) for name in names], cost=COST)
    with running_server(folder) as server:
        assert [ask_token(server, source, "user0", PASSWORD) for source in sources] == [200] * len(sources)
        with Guessing(server, sources, user) as guessing:
            while len(guessing.statuses) < GUESSERS:
                assert ask_token(server, OURS, "", "") != 0
            statuses = [ask_token(server, f"127.0.1.{place}", name, PASSWORD) for place, name in enumerate(names, 1)]
        assert statuses == [200] * LOGINS
        assert 429 in guessing.statuses  # or there was nothing to wait for
