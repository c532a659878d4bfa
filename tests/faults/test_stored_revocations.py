"""Revocations in the storage, on real servers: in force on every node, after a sleep, and over a restored backup."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import bcrypt
import httpx
import pytest

from authproxy.token.revocation_store import SETTLES_S
from tests.support.program import environment, succeed
from tests.support.server import AUTHPROXY, Server, contents, running_server, wait_until_steady

CONFIGURATION = """\
version: 0.1
http: {{addr: "127.0.0.1:0", workers: 2, secret: the same on all nodes}}
storage: {{filesystem: {{rootdirectory: "{folder}/registry"}}}}
token: {{keys: "{folder}/keys", lifetime: 1h}}
identities: [{{htpasswd: {{path: "{folder}/htpasswd"}}}}]
policies: {{path: "{folder}/policies.yaml"}}
"""
POLICIES = """\
version: 1
rules: [{name: all, allow: [pull, push], to: {signed-in: true}, on: {repositories: ["**"]}}]
"""
PASSWORD = "a password of somebody's own"
PROMISED_S, MARGIN_S = 2.0, 8.0


class Site:
    """Nodes over one storage and one key ring, without `token.state`."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        (folder / "htpasswd").write_text("".join(f"{name}:{hashed}\n" for name in ("alice", "bob")))
        (folder / "policies.yaml").write_text(POLICIES)
        (folder / "config.yml").write_text(CONFIGURATION.format(folder=folder))

    @property
    def state(self) -> Path:
        return self.folder / "registry" / "authproxy"

    def node(self, name: str) -> Server:
        arguments = [str(self.folder / "config.yml")]
        return self.stack.enter_context(running_server(self.folder / name, arguments=arguments, has_tls=False))

    def command(self, *words: str) -> float:
        """Run `authproxy token …` beside the servers: when it had written."""
        arguments = ("token", *words, "--config", str(self.folder / "config.yml"))
        succeed(AUTHPROXY, *arguments, env=environment(self.folder), cwd=self.folder)
        return time.monotonic()


def log_in(server: Server, name: str) -> dict[str, str]:
    form = {"grant_type": "password", "username": name, "password": PASSWORD, "access_type": "offline"}
    with server.client() as client:
        answer = client.post("/token", data=form)
        assert answer.status_code == httpx.codes.OK, answer.text
        content: dict[str, str] = answer.json()
        return content


def logs_in(server: Server, name: str) -> bool:
    """Whether a new login is good: for two seconds after a revocation it is refused with 429."""
    with server.client() as client:
        answer = client.get("/token", auth=(name, PASSWORD))
        return answer.status_code == httpx.codes.OK and status(server, answer.json()) == httpx.codes.OK


def status(server: Server, login: dict[str, str]) -> int:
    with server.client() as client:
        return client.get("/v2/", headers={"Authorization": f"Bearer {login['token']}"}).status_code


def renewal(server: Server, login: dict[str, str]) -> int:
    form = {"grant_type": "refresh_token", "refresh_token": login["refresh_token"]}
    with server.client() as client:
        return client.post("/token", data=form).status_code


def in_time(is_right: Callable[[], bool], since: float, within_s: float = PROMISED_S) -> None:
    first_right = wait_until_steady(is_right, since, within_s + MARGIN_S)
    sys.stdout.write(f"in force after {first_right - since:.2f} s\n")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path, stack)


def test_a_revocation_is_in_force_on_another_node_and_can_be_taken_back(site: Site) -> None:
    one, other = site.node("one"), site.node("other")
    alice, bob = log_in(one, "alice"), log_in(one, "bob")
    assert (status(other, alice), renewal(other, alice)) == (200, 200)
    time.sleep(1.1)  # what is revoked was issued before: seconds count
    since = site.command("revoke", "alice")
    for node in (one, other):
        in_time(lambda node=node: (status(node, alice), renewal(node, alice)) == (401, 401), since)  # type: ignore[misc]
        assert (status(node, bob), renewal(node, bob)) == (200, 200)
    since = site.command("revoke", "alice", "--undo")
    for node in (one, other):
        in_time(lambda node=node: (status(node, alice), renewal(node, alice)) == (200, 200), since)  # type: ignore[misc]
    since = site.command("revoke", "--all")
    for node in (one, other):
        in_time(lambda node=node: (status(node, bob), renewal(node, bob)) == (401, 401), since)  # type: ignore[misc]
    in_time(lambda: logs_in(other, "bob"), since, 4.0)


def test_a_server_that_was_stopped_looks_before_its_first_answer(site: Site) -> None:
    node = site.node("one")
    alice = log_in(node, "alice")
    time.sleep(1.1)
    stopped = [node.pid, *node.worker_ids()]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    site.command("revoke", "alice")
    time.sleep(2.5)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    assert [status(node, alice) for _ in range(20)] == [401] * 20


@pytest.mark.parametrize("restored", ["older", "none"])
@pytest.mark.parametrize("restarts", [False, True], ids=["running", "restarted"])
def test_a_storage_restored_from_a_backup_revives_nothing(site: Site, restored: str, *, restarts: bool) -> None:
    node = site.node("one")
    alice, bob = log_in(node, "alice"), log_in(node, "bob")
    time.sleep(1.1)
    backup = site.folder / "backup"
    if restored == "older":
        site.command("revoke", "nobody")
        shutil.copytree(site.state, backup)
    since = site.command("revoke", "alice")
    in_time(lambda: status(node, alice) == 401, since)
    if restarts:
        node.stop()
    shutil.rmtree(site.state)
    if restored == "older":
        shutil.copytree(backup, site.state)
    if restarts:
        node.start()
    since = time.monotonic()
    assert status(node, alice) in (401, 503)
    in_time(lambda: (status(node, alice), status(node, bob)) == (401, 401), since, SETTLES_S + PROMISED_S)
    assert "revocations were lost, so all logins have ended" in node.output
    other = site.node("other")  # it is written: not every node has to find out
    assert (status(other, alice), status(other, bob)) == (401, 401)
    in_time(lambda: logs_in(other, "bob"), since, 2 * SETTLES_S)


def test_a_node_that_cannot_read_its_revocations_serves_nobody_until_it_can(site: Site) -> None:
    node = site.node("one")
    alice = log_in(node, "alice")
    time.sleep(1.1)
    site.command("revoke", "bob")
    node.stop()
    [record] = site.state.glob("v1/tokens/*/revocations")
    content = record.read_bytes()
    record.write_bytes(content[: len(content) // 2])
    node.start()
    assert status(node, alice) == 503
    assert "Restore this file from the latest backup, or end all logins" in node.output
    with node.client() as client:
        assert client.get("/readyz").status_code == 503
    record.write_bytes(content)
    in_time(lambda: status(node, alice) == 200, time.monotonic())
    record.write_bytes(b"{}")
    since = site.command("revoke", "--all")  # the fix that the message names
    in_time(lambda: status(node, alice) == 401, since)


def test_idle_servers_write_nothing(site: Site) -> None:
    nodes = [site.node("one"), site.node("other")]
    site.command("revoke", "bob")
    alice = log_in(nodes[0], "alice")
    time.sleep(2.5)

    def written() -> dict[Path, int]:
        folders = (site.folder / "registry", site.folder / "keys")
        return {path: path.lstat().st_mtime_ns for folder in folders for path in folder.rglob("*")}

    before, held = written(), contents(site.state)
    for _ in range(5):
        assert status(nodes[1], alice) == 200
        time.sleep(1)
    assert written() == before
    assert contents(site.state) == held
