"""`authproxy doctor` on machines that are broken for real: as other accounts, with a full disk, beside a server.

What takes neither an account nor a disk of its own is in tests/unit/doctor/machine.
"""

import ctypes
import json
import os
import pwd
import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.binaries import binary
from tests.support.machine import Machine
from tests.support.program import Outcome, environment, run
from tests.support.server import AUTHPROXY, Server, running_server

FINE, WRONG, UNSAID = 0, 1, 2
ACCOUNT = "nobody"
# root reads and writes whatever the modes say, unless it has no such capability.
LIKE_ANYBODY = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
WITHOUT_PORTS = ("setpriv", "--bounding-set", "-net_bind_service")
# sys/mount.h
MNT_DETACH = 2


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Everything is right, in a folder of root's that other accounts can enter; pytest's own they cannot."""
    folder = Path(tempfile.mkdtemp(prefix="authproxy-doctor-"))
    folder.chmod(0o755)
    monkeypatch.chdir(folder)
    try:
        yield Machine(folder)
    finally:
        shutil.rmtree(folder)


def doctor(machine: Machine, *arguments: str, wrapper: Sequence[str] = (), **settings: str) -> Outcome:
    """`authproxy doctor …` to its end, in the machine's folder."""
    command = [binary(wrapper[0]), *wrapper[1:]] if wrapper else []
    return run(
        *command, AUTHPROXY, "doctor", *arguments, env=environment(machine.folder, **settings), cwd=machine.folder
    )


def amiss(machine: Machine, *arguments: str, wrapper: Sequence[str] = (), **settings: str) -> dict[str, Any]:
    """The findings that are wrong, by check; the exit code agrees with them."""
    outcome = doctor(machine, "config.yml", "--json", *arguments, wrapper=wrapper, **settings)
    assert "Traceback" not in outcome.text, str(outcome)
    content = json.loads(outcome.out)
    wrong = {one["check"]: one for one in content["findings"] if one["level"] == "failed"}
    assert outcome.code == (WRONG if wrong else FINE), str(outcome)
    assert content["verdict"] == ("failed" if wrong else "ok")
    return wrong


def give(folder: Path, name: str = ACCOUNT) -> None:
    """Let everything in a folder be somebody's."""
    user = pwd.getpwnam(name)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid)


def test_nothing_is_wrong_where_all_is_right(machine: Machine) -> None:
    outcome = doctor(machine, "config.yml")
    assert outcome.code == FINE, str(outcome)
    first, account, *rest = outcome.out.splitlines()
    assert first == "config.yml: ok"
    assert account == (
        "  warning  account: checked as root, which can read and write everything; the server may run as another user"
    )
    for words in (
        f"ok       port: 127.0.0.1:{machine.port} (http.addr) can be listened on",
        "ok       folders: can be written: data, keys, audit.log",
        "ok       certificate: server.pem fits its key, and is valid until",
        "ok       names: server.pem is for localhost",
        "ok       dns: localhost resolves to this machine",
        "ok       users: 1 can log in",
        "ok       policies: 2 rules, each with an effect, 1 cases hold",
        "ok       space: the disk of ",
    ):
        assert any(line.strip().startswith(words) for line in rest), str(outcome)


def test_the_account_that_serves_is_looked_at_by_root(machine: Machine) -> None:
    wrong = amiss(machine, "--as", ACCOUNT)
    assert set(wrong) == {"folders", "files"}
    assert f"cannot be written by the account {ACCOUNT}" in wrong["folders"]["what"]
    assert "server.key (http.tls.key) cannot be read by the account nobody" in wrong["files"]["what"]
    assert wrong["files"]["fix"].startswith(f"setfacl -m u:{ACCOUNT}:r {machine.folder}/server.key")
    give(machine.folder)
    assert amiss(machine, "--as", ACCOUNT) == {}


def test_what_is_to_be_made_in_a_folder_of_others_is_made_for_the_account(machine: Machine) -> None:
    (machine.folder / "data").rmdir()
    outcome = doctor(machine, "config.yml", "--as", ACCOUNT)
    assert f"→ mkdir -p data && chown {ACCOUNT} data" in outcome.out
    assert "→ config.yml:14: audit.file.path: a file in a folder that the account nobody may write" in outcome.out
    assert f"→ setfacl -m u:{ACCOUNT}:rx {machine.folder}/keys" not in outcome.out
    assert f"→ chown {ACCOUNT} {machine.folder}/keys, or run the server as its owner, root" in outcome.out


def test_a_folder_of_rules_that_is_closed_is_told(machine: Machine) -> None:
    give(machine.folder)
    os.chown(machine.folder / "policies", 0, 0)
    (machine.folder / "policies").chmod(0o700)
    wrong = amiss(machine, "--as", ACCOUNT)
    assert set(wrong) == {"files"}
    assert wrong["files"]["fix"].startswith(f"setfacl -m u:{ACCOUNT}:rx {machine.folder}/policies")


def test_a_folder_on_the_way_that_is_closed_is_named(machine: Machine) -> None:
    give(machine.folder)
    closed = machine.folder / "closed"
    closed.mkdir(mode=0o700)
    (machine.folder / "htpasswd").rename(closed / "htpasswd")
    machine.configure(("path: htpasswd", "path: closed/htpasswd"))
    wrong = amiss(machine, "--as", ACCOUNT)
    assert set(wrong) == {"files"}
    assert wrong["files"]["what"].endswith(f"{closed} is closed to it")
    assert wrong["files"]["fix"].startswith(f"setfacl -m u:{ACCOUNT}:x {closed}")


def test_who_runs_it_is_who_is_looked_at(machine: Machine) -> None:
    (machine.folder / "server.key").chmod(0)
    (machine.folder / "data").chmod(0o500)
    wrong = amiss(machine, wrapper=LIKE_ANYBODY)
    assert set(wrong) == {"files", "folders"}
    assert "data (storage.filesystem.rootdirectory) cannot be written by the account root" in wrong["folders"]["what"]


def test_what_a_registry_of_root_has_made_is_told(machine: Machine) -> None:
    give(machine.folder)
    (machine.folder / "data/docker/registry/v2/blobs").mkdir(parents=True)
    wrong = amiss(machine, "--as", ACCOUNT)
    assert "data/docker/registry/v2, which another account has created" in wrong["folders"]["what"]
    assert wrong["folders"]["fix"].startswith(f"chown -R {ACCOUNT} data")


def test_the_variable_of_the_image_says_who_serves(machine: Machine) -> None:
    user = pwd.getpwnam(ACCOUNT)
    account = f"{user.pw_uid}:{user.pw_gid}"
    wrong = amiss(machine, AUTHPROXY_RUN_AS=account)
    assert {"folders", "files"} <= set(wrong)
    give(machine.folder)
    os.chown(machine.folder / "data", 0, 0)  # the start gives it away, since it is empty
    assert amiss(machine, AUTHPROXY_RUN_AS=account) == {}


def test_root_without_the_right_to_be_somebody_else_is_told(machine: Machine) -> None:
    wrapper = ("setpriv", "--bounding-set", "-setuid,-setgid")
    outcome = doctor(machine, "config.yml", "--as", ACCOUNT, wrapper=wrapper)
    assert outcome.code == UNSAID, str(outcome)
    assert outcome.err.startswith("authproxy: cannot check as nobody: ")


def test_a_port_that_takes_a_right_is_said_where_it_is_missing(machine: Machine) -> None:
    machine.configure((f'"127.0.0.1:{machine.port}"', '"127.0.0.1:81"'), (f"localhost:{machine.port}", "localhost:81"))
    wrong = amiss(machine, wrapper=WITHOUT_PORTS)
    assert set(wrong) == {"port"}
    assert wrong["port"]["what"] == "http.addr: cannot listen on 127.0.0.1:81: not permitted"
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in wrong["port"]["fix"]


def test_ports_are_had_by_who_starts_the_server(machine: Machine) -> None:
    give(machine.folder)
    machine.configure((f'"127.0.0.1:{machine.port}"', '"127.0.0.1:81"'), (f"localhost:{machine.port}", "localhost:81"))
    assert set(amiss(machine, "--as", ACCOUNT)) == {"port"}
    user = pwd.getpwnam(ACCOUNT)
    assert amiss(machine, AUTHPROXY_RUN_AS=f"{user.pw_uid}:{user.pw_gid}") == {}  # root listens, and then steps down


def test_a_port_that_another_program_has_is_wrong_and_our_own_server_is_not(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", machine.port)):
        assert set(amiss(machine)) == {"port"}
    server = Server(machine.folder, port=machine.port, arguments=["config.yml"])
    server.start()
    try:
        outcome = doctor(machine, "config.yml")
    finally:
        server.stop()
        assert "(http.addr): a registry answers there, so our server seems to run" in outcome.out, str(outcome)


@pytest.fixture
def small_disk(machine: Machine, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The data folder as a disk of its own, which `request.param` makes. Needs the right to mount."""
    disk = machine.folder / "data"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(disk), b"tmpfs", ctypes.c_ulong(0), request.param.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"this test mounts a small disk: {os.strerror(ctypes.get_errno())}", disk)
    try:
        yield disk
    finally:
        libc.umount2(os.fsencode(disk), MNT_DETACH)


@pytest.mark.parametrize(
    ("small_disk", "words"),
    [("size=8m", "is full: 8 MiB are left"), ("size=2g,nr_inodes=50", "more files (inodes), so pushes fail")],
    indirect=["small_disk"],
    ids=["bytes", "inodes"],
)
def test_a_full_disk_is_wrong(machine: Machine, small_disk: Path, words: str) -> None:
    wrong = amiss(machine)
    assert set(wrong) == {"space"}
    assert words in wrong["space"]["what"]
    assert "data (storage.filesystem.rootdirectory)" in wrong["space"]["what"]


def test_a_disk_that_nobody_may_write_is_wrong(machine: Machine) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    disk = machine.folder / "data"
    read_only = ctypes.c_ulong(1)
    assert libc.mount(b"tmpfs", os.fsencode(disk), b"tmpfs", read_only, b"size=1g") == 0, os.strerror(
        ctypes.get_errno()
    )
    try:
        wrong = amiss(machine)
    finally:
        libc.umount2(os.fsencode(disk), MNT_DETACH)
    assert set(wrong) == {"folders"}


def test_the_embedded_default_is_found_where_it_was_started(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        env = environment(tmp_path, REGISTRY_HTTP_ADDR=f"127.0.0.1:{server.port}")
        outcome = run(AUTHPROXY, "doctor", env=env, cwd=tmp_path)
    assert outcome.code == FINE, str(outcome)
    assert outcome.out.startswith("embedded default: ok\n")
    assert "so our server seems to run" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.yml"], "absent.yml: cannot be read"),
        (["config.yml", "--as", "nobody-we-know"], "there is no such user here"),
        (["config.yml", "--as", "a:b"], "write UID:GID in numbers"),
        (["config.yml", "--as", "nobody", "--upstream"], "leave out --registry and --upstream"),
        (["config.yml", "--write"], "--write: only for --upstream"),
        (["config.yml", "--live", "http://x"], "--live: only for --registry"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_said_is_exit_code_2(machine: Machine, arguments: list[str], words: str) -> None:
    outcome = doctor(machine, *arguments)
    assert outcome.code == UNSAID, str(outcome)
    assert words in " ".join(outcome.err.replace("│", " ").split())
