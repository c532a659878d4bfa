"""What looks at users, policies and revocations outlives what befalls a process: changes are in force in time."""

import json
import resource
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from authproxy.files.watcher import MAX_AGE_S
from tests.support.binaries import binary
from tests.support.cheap_users import add_cheap_users
from tests.support.people import ALICE, BOB, User
from tests.support.program import environment, succeed
from tests.support.server import AUTHPROXY, KNOWN_WITHIN_S, Server, running_server
from tests.support.small_disk import fill, make_room, small_disk

CAROL = User("carol", "carol's own password")
LAYER = "sha256:" + "a" * 64
MOST_LINES_OF_A_PAGE = 40
STOP = """\
version: 1
rules:
  - name: carol is stopped
    deny: ["*"]
    to: {users: [carol]}
    on: {repositories: ["**"]}
"""
# How a shell starts the rest of its arguments in its own place, without a standard error that works.
NO_STDERR = {
    "closed": 'exec "$@" 2>&-',
    "full": 'exec "$@" 2>/dev/full',
    "without a reader": 'exec "$@" 2> >(exec true)',
}


def ask(server: Server, path: str, **options: object) -> httpx.Response:
    with server.client() as client:
        return client.get(path, **options)  # type: ignore[arg-type]


def log_in(server: Server, user: User) -> httpx.Response:
    scope = f"repository:{user.name}/app:pull,push"
    form = {"grant_type": "password", "username": user.name, "password": user.password, "scope": scope}
    with server.client() as client:
        return client.post("/token", data=form)


class People:
    """Three users who may do what they want below their names, and a token of alice's."""

    def __init__(self, server: Server) -> None:
        self.server = server
        for user in (ALICE, BOB, CAROL):
            added = ("user", "add", user.name, "--password-stdin")
            self.command(*added, stdin=user.password + "\n")
        for user in (ALICE, BOB, CAROL):  # one process: what it knows once it goes on knowing
            server.wait_until(lambda name=user: log_in(server, name).status_code == 200)  # type: ignore[misc]
        self.token = log_in(server, ALICE).json()["token"]
        assert self.alice().status_code == 404
        assert log_in(server, CAROL).json()["scope"] == "repository:carol/app:pull,push"

    def alice(self) -> httpx.Response:
        """What alice gets with the token from the beginning."""
        return ask(self.server, f"/v2/alice/app/blobs/{LAYER}", headers={"Authorization": f"Bearer {self.token}"})

    def command(self, *arguments: str, stdin: str = "") -> None:
        succeed(AUTHPROXY, *arguments, env=environment(self.server.folder), cwd=self.server.folder, stdin=stdin)

    def assert_changes_are_in_force_in_time(self) -> None:
        """Disable bob, stop carol by a policy, revoke alice's tokens: each has a thread of its own that looks."""
        self.command("user", "disable", BOB.name)
        self.command("token", "revoke", ALICE.name)
        (self.server.folder / "policies" / "stop.yaml").write_text(STOP)
        self.server.wait_until(lambda: log_in(self.server, BOB).status_code == 401)
        self.server.wait_until(lambda: log_in(self.server, CAROL).json()["scope"] == "")
        self.server.wait_until(lambda: self.alice().status_code == 401)


@contextmanager
def running(folder: Path, *through: str, **settings: str) -> Iterator[People]:
    if through:  # not a warm start, which makes an admin of little cost by itself
        add_cheap_users(folder, [])
    with running_server(folder, settings, through=through) as server:
        yield People(server)


@pytest.fixture(scope="module", autouse=True)
def blind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """On a server that can't read its revocations. That has an effect after a minute, in which other tests run."""
    with running(tmp_path_factory.mktemp("blind") / "server") as people:
        server = people.server
        state = server.folder / "data" / "state"
        (state / "revoked").rename(state / "lost")
        server.wait_until(lambda: "not reloaded, the old content stays in force" in server.output)
        assert people.alice().status_code == 404  # for a minute it goes on
        yield people


def shell(script: str) -> Sequence[str]:
    return binary("bash"), "-c", script, "bash"


@pytest.mark.parametrize("how", NO_STDERR)
def test_without_standard_error_all_is_answered_and_changes_are_in_force(tmp_path: Path, how: str) -> None:
    with running(tmp_path / "server", *shell(NO_STDERR[how])) as people:
        server = people.server
        with server.client() as client:
            refused = client.get("/v2/", auth=("nobody", "line\nbreak"), timeout=10)
        assert refused.status_code == 401  # it logs before it answers
        people.assert_changes_are_in_force_in_time()


def open_descriptors(server: Server) -> int:
    assert server.process is not None
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def test_where_no_descriptor_was_left_changes_are_in_force_afterwards(tmp_path: Path) -> None:
    with running(tmp_path / "server") as people:
        server = people.server
        assert server.process is not None
        pid = server.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_descriptors(server) + 5, before[1]))
        with ExitStack() as silent:
            for _ in range(30):
                silent.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            # A folder can't be listed without a descriptor: what looks at policies and revocations fails.
            server.wait_until(lambda: "not reloaded, the old content stays in force" in server.output)
            assert "Too many open files" in server.output
            (server.folder / "policies" / "stop.yaml").write_text(STOP)  # and this change is not lost
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        server.wait_until(lambda: log_in(server, CAROL).json()["scope"] == "", 4 * KNOWN_WITHIN_S)
        people.assert_changes_are_in_force_in_time()


def test_a_node_that_cannot_read_its_revocations_serves_nobody_until_it_can(blind: People) -> None:
    server = blind.server
    state = server.folder / "data" / "state"
    server.wait_until(lambda: blind.alice().status_code == 503, MAX_AGE_S + KNOWN_WITHIN_S)
    answer = blind.alice()
    assert answer.headers["Retry-After"] == "5"
    assert answer.json()["errors"][0]["code"] == "UNAVAILABLE"
    assert log_in(server, BOB).status_code == 503
    ready = ask(server, "/readyz")
    assert ready.status_code == 503
    assert "revocations could not be checked" in ready.text
    assert str(server.folder) not in ready.text
    assert (ask(server, "/livez").status_code, ask(server, "/").status_code) == (200, 503)
    (state / "lost").rename(state / "revoked")
    server.wait_until(lambda: blind.alice().status_code == 404)
    assert ask(server, "/readyz").text == "ready\n"
    blind.assert_changes_are_in_force_in_time()


def test_changes_are_in_force_though_log_and_audit_share_a_full_disk_and_no_audit_line_is_lost(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 3 * 1024 * 1024) as disk:
        audit = disk / "audit.log"
        started = shell(f'exec "$@" 2>>{disk}/stderr.log')
        with running(tmp_path / "server", *started, REGISTRY_AUDIT_FILE_PATH=str(audit)) as people:
            people.server.wait_until(lambda: audit.exists() and b'"alice"' in audit.read_bytes())
            fill(disk)
            with people.server.client() as client:  # the last page of the log may have room for as many lines
                assert {client.get("/v2/").status_code for _ in range(MOST_LINES_OF_A_PAGE)} == {401}
            for number in range(3):
                user = User(f"guesser-{number}", "wrong")
                assert log_in(people.server, user).status_code == 401
            people.assert_changes_are_in_force_in_time()
            make_room(disk)
            # A second try comes after half a minute at most.
            people.server.wait_until(lambda: b"guesser-2" in audit.read_bytes(), 60)
            lines = [json.loads(line) for line in audit.read_bytes().splitlines()]
            names = [line.get("user") or line.get("subject") for line in lines]
            assert [name for name in names if name and name.startswith("guesser")] == [f"guesser-{n}" for n in range(3)]
            people.server.wait_until(lambda: "log lines were lost" in (disk / "stderr.log").read_text(errors="replace"))
        succeed(AUTHPROXY, "audit", "verify", str(audit), env=environment(tmp_path), cwd=tmp_path)


# libfaketime 0.9.10 answers EINVAL to the system call of every `time.sleep` while it leaves the monotonic clock alone.
# Waiting for an event takes another one.
SLEEP = """
import threading, time
def sleep(seconds): threading.Event().wait(seconds)
time.sleep = sleep
"""


@pytest.mark.parametrize("jump", ["-400d", "+400d"], ids=["back", "forward"])
def test_a_clock_that_jumps_stops_no_looking(tmp_path: Path, jump: str) -> None:
    """Passwords are asked, since tokens and the key that signs them are of another time then."""
    times = tmp_path / "times"
    times.write_text("+0\n")
    (tmp_path / "sitecustomize.py").write_text(SLEEP)
    variables = {
        "FAKETIME_TIMESTAMP_FILE": str(times),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": str(tmp_path),
    }
    # The program sets an offset for good; its library reads the file at each look at the clock.
    shows = (binary("faketime"), "-f", "+0", "/bin/sh", "-c", "echo $LD_PRELOAD")
    library = succeed(*shows, env=environment(tmp_path)).out.strip()
    with running(tmp_path / "server", *shell(f"LD_PRELOAD='{library}' exec \"$@\""), **variables) as people:
        server = people.server

        def status(user: User) -> int:
            with server.client() as client:
                path = f"/v2/{user.name}/app/blobs/{LAYER}"
                return client.get(path, auth=(user.name, user.password)).status_code

        # In one step: the library reads the file at each look at the clock.
        (tmp_path / "jumped").write_text(f"{jump}\n")
        (tmp_path / "jumped").replace(times)
        status(BOB)  # says something in the log
        server.wait_until(lambda: f"time={time.gmtime(time.time() + int(jump[:-1]) * 86400).tm_year}-" in server.output)
        assert (status(BOB), status(CAROL)) == (404, 404)
        people.command("user", "disable", BOB.name)
        server.wait_until(lambda: status(BOB) == 401)
        (server.folder / "policies" / "stop.yaml").write_text(STOP)
        server.wait_until(lambda: status(CAROL) == 403)
        assert ask(server, "/readyz").text == "ready\n"
