"""Ports, files, names, keys, users, policies, room and clock, each broken by itself."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import pytest

from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.machine.clock import EARLIEST, check_clock, is_synchronized
from authproxy.doctor.machine.files import check_files
from authproxy.doctor.machine.keys import check_keys
from authproxy.doctor.machine.names import check_names
from authproxy.doctor.machine.policies import check_policies
from authproxy.doctor.machine.ports import check_ports
from authproxy.doctor.machine.space import GIB, MIB, check_space, judge_space
from authproxy.doctor.machine.users import KnownUsers, check_users
from tests.support.machine import HASH, POLICY, Machine, amiss


def judge_people(machine: Machine) -> list[Finding]:
    """What is said of users and policies."""
    people = KnownUsers()
    installation = machine.installation()
    return [*check_users(installation, people), *check_policies(installation, people)]


def test_nothing_is_amiss_where_all_is_right(machine: Machine) -> None:
    installation = machine.installation()
    for check in (check_ports, check_files, check_names, check_keys):
        assert amiss(check(installation)) == {}, check
    assert amiss(iter(judge_people(machine))) == {}


@dataclass(frozen=True)
class Broken:
    """What is done to the machine, and what is said."""

    what: str
    break_it: Callable[[Machine], object]
    check: str
    level: Level
    words: str
    fix: str = ""
    looks: Callable[[Machine], Sequence[Finding]] = field(default=judge_people)


def ports(machine: Machine) -> Sequence[Finding]:
    return list(check_ports(machine.installation()))


def files(machine: Machine) -> Sequence[Finding]:
    return list(check_files(machine.installation()))


def keys(machine: Machine) -> Sequence[Finding]:
    return list(check_keys(machine.installation()))


def bind_elsewhere(machine: Machine) -> None:
    machine.configure((f'"127.0.0.1:{machine.port}"', f'"192.0.2.1:{machine.port}"'))


def listen_on_socket(machine: Machine, path: str) -> None:
    machine.configure((f'addr: "127.0.0.1:{machine.port}"', f"addr: {path}\n  net: unix"))


def retire(machine: Machine) -> None:
    for file in (machine.folder / "keys").glob("*.json"):
        file.write_text(file.read_text().replace('"retired": null', '"retired": 1'))


def open_keys(machine: Machine) -> None:
    for file in (machine.folder / "keys").glob("*.pem"):
        file.chmod(0o644)


def denies(what: str) -> Callable[[Machine], object]:
    return lambda machine: machine.write("policies/rules.yaml", f"version: 1\nrules:\n{what}")


ALLOW = '- {name: a, to: {%s}, on: {repositories: ["**"]}, allow: [pull]}\n'
BROKEN = [
    Broken("an address of no machine", bind_elsewhere, "port", Level.FAILED, "cannot listen on 192.0.2.1", looks=ports),
    Broken(
        "a socket in no folder",
        lambda machine: listen_on_socket(machine, "/nowhere/s"),
        "port",
        Level.FAILED,
        "there is no folder /nowhere",
        "mkdir /nowhere",
        ports,
    ),
    Broken(
        "a socket in the place of a file",
        lambda machine: listen_on_socket(machine, str(machine.folder / "htpasswd")),
        "port",
        Level.FAILED,
        "exists and is not a socket",
        looks=ports,
    ),
    Broken(
        "a file in the place of the data",
        lambda machine: machine.configure(("rootdirectory: data", "rootdirectory: htpasswd")),
        "folders",
        Level.FAILED,
        "htpasswd (storage.filesystem.rootdirectory) is not a folder",
        "config.yml:8: storage.filesystem.rootdirectory: a folder",
        files,
    ),
    Broken(
        "a log in no folder",
        lambda machine: machine.configure(("audit.log", "logs/audit.log")),
        "folders",
        Level.FAILED,
        "there is no folder logs",
        "mkdir logs",
        files,
    ),
    Broken(
        "no key",
        lambda machine: (machine.folder / "server.key").unlink(),
        "files",
        Level.FAILED,
        "there is no server.key (http.tls.key)",
        "config.yml:7: http.tls.key: where it is",
        files,
    ),
    Broken(
        "a key for all to read",
        lambda machine: (machine.folder / "server.key").chmod(0o644),
        "files",
        Level.WARNING,
        "can be read by everyone",
        "chmod o= server.key",
        files,
    ),
    Broken(
        "a signing key for all to read",
        open_keys,
        "keys",
        Level.FAILED,
        "other accounts, which could sign tokens for everything",
        "chmod 600 ",
        keys,
    ),
    Broken(
        "a key that is none",
        lambda machine: [file.write_text("x") for file in (machine.folder / "keys").glob("*.pem")],
        "keys",
        Level.FAILED,
        "",
        looks=keys,
    ),
    Broken(
        "no password file",
        lambda machine: (machine.folder / "htpasswd").unlink(),
        "users",
        Level.FAILED,
        "htpasswd does not exist",
        "make it: authproxy user add",
    ),
    Broken(
        "an empty password file",
        lambda machine: machine.write("htpasswd", ""),
        "users",
        Level.FAILED,
        "no user can log in",
        "authproxy user add NAME",
    ),
    Broken(
        "passwords of an old kind beside a new one",
        lambda machine: machine.write("htpasswd", f"alice:{HASH}\nbob:{{SHA}}x\n"),
        "users",
        Level.WARNING,
        "entries without a bcrypt hash cannot log in: bob",
    ),
    Broken(
        "a name in two lines",
        lambda machine: machine.write("htpasswd", f"alice:{HASH}\nbob:{HASH}\nalice:{HASH}\n"),
        "users",
        Level.WARNING,
        "the first one counts: alice (lines 1 and 3)",
        "remove the wrong lines",
    ),
    Broken(
        "a password file in UTF-16",
        lambda machine: (machine.folder / "htpasswd").write_text(f"alice:{HASH}\n", encoding="utf-16"),
        "users",
        Level.FAILED,
        "htpasswd: is UTF-16",
        "save it as UTF-8",
    ),
    Broken(
        "everybody disabled",
        lambda machine: machine.write("users.yaml", "users: {alice: {groups: [team], disabled: true}}"),
        "users",
        Level.FAILED,
        "no user can log in",
    ),
    Broken(
        "a users file that is none",
        lambda machine: machine.write("users.yaml", "users: [alice]"),
        "users",
        Level.FAILED,
        "users.yaml:1",
    ),
    Broken(
        "no policies",
        lambda machine: (machine.folder / "policies/rules.yaml").unlink(),
        "policies",
        Level.FAILED,
        "contains no policy, so no access would be allowed",
    ),
    Broken("no rules", denies("  []\n"), "policies", Level.FAILED, "rules: an empty list"),
    Broken(
        "rules that all deny",
        denies('- {name: d, to: {everyone: true}, on: {repositories: ["**"]}, deny: [pull]}\n'),
        "policies",
        Level.FAILED,
        "no user may do anything: no rule allows anything",
    ),
    Broken("a rule for nobody", denies(ALLOW % "users: [zoe]"), "policies", Level.FAILED, "unknown users and groups"),
    Broken(
        "a case that fails",
        lambda machine: machine.write("policies/rules.yaml", POLICY.replace("expected: allow", "expected: deny")),
        "policies",
        Level.FAILED,
        "a case fails: policies/rules.yaml:6",
        "authproxy policy test",
    ),
    Broken(
        "a rule in vain",
        lambda machine: machine.write("policies/more.yaml", POLICY.partition("tests")[0].replace("name: ", "name: 2")),
        "policies",
        Level.WARNING,
        "it changes nothing",
        "authproxy policy check",
    ),
    Broken(
        "a user called like the head of a rule",
        lambda machine: machine.write("htpasswd", f"alice:{HASH}\npublic:{HASH}\n"),
        "policies",
        Level.WARNING,
        "the user public may pull, push in public/**, and policies/rules.yaml:4",
        "give the user or group, or the repositories, another name",
    ),
    Broken("a policy that is none", denies("  - x\n"), "policies", Level.FAILED, "policies/rules.yaml:3"),
]


@pytest.mark.parametrize("broken", BROKEN, ids=attrgetter("what"))
def test_what_is_broken_is_said_with_the_fix(machine: Machine, broken: Broken) -> None:
    broken.break_it(machine)
    finding = amiss(iter(broken.looks(machine)))[broken.check]
    assert (finding.level, finding.check) == (broken.level, broken.check)
    assert broken.words in finding.what
    assert finding.fix.startswith(broken.fix)
    assert finding.fix


@pytest.mark.parametrize("subject", ["users: [alice]", "groups: [team]", "signed-in: true", "anonymous: true"])
def test_rules_for_those_who_are_there_let_somebody_in(machine: Machine, subject: str) -> None:
    denies(ALLOW % subject)(machine)
    assert amiss(iter(judge_people(machine))) == {}


def test_a_port_that_is_taken_is_said(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authproxy.doctor.machine.ports.TIMEOUT_S", 0.1)  # who listens there never answers
    with socket.create_server(("127.0.0.1", machine.port)):
        finding = amiss(check_ports(machine.installation()))["port"]
    assert finding.level is Level.FAILED
    assert "another program uses this port" in finding.what
    assert f"REGISTRY_HTTP_ADDR=127.0.0.1:{machine.port + 1}" in finding.fix


def test_the_debug_port_is_looked_at_too(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        machine.configure(("  tls:", f'  debug: {{addr: "{address}"}}\n  tls:'))
        finding = amiss(check_ports(machine.installation()))["port"]
    assert "http.debug.addr: cannot listen on" in finding.what


def test_a_socket_of_a_server_that_was_killed_is_no_fault_and_stays(machine: Machine) -> None:
    path = machine.folder / "s"
    listen_on_socket(machine, str(path))
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert amiss(check_ports(machine.installation())) == {}
    assert path.is_socket()


@pytest.mark.parametrize(
    ("name", "addresses", "level", "words"),
    [
        ("registry.example.org", ["127.0.0.1", "192.0.2.1"], Level.OK, "resolves to this machine"),
        ("registry.example.org", ["192.0.2.1"], Level.WARNING, "resolves to 192.0.2.1, which is not this machine"),
        ("registry.example.org", None, Level.FAILED, "the name registry.example.org does not resolve here"),
        ("127.0.0.1:5000", None, Level.OK, "is an address of this machine"),
        ("192.0.2.1:5000", None, Level.WARNING, "is not an address of this machine"),
        ("[2001:db8::1]:5000", None, Level.WARNING, "2001:db8::1 is not an address of this machine"),
    ],
)
def test_a_name_has_to_lead_here(
    machine: Machine, name: str, addresses: Sequence[str] | None, level: Level, words: str
) -> None:
    def look_up(asked: str) -> Sequence[str]:
        assert asked == "registry.example.org"
        if addresses is None:
            raise OSError(-2, "Name or service not known")
        return addresses

    [finding] = check_names(machine.installation(names=(name,)), look_up)
    assert finding.level is level
    assert words in finding.what


@pytest.mark.parametrize(
    ("free_bytes", "free_files", "level", "words"),
    [
        (10 * GIB, None, Level.OK, "10.0 GiB"),
        (10 * GIB, 1_000_000, Level.OK, "and for 1000000 files"),
        (500 * MIB, None, Level.WARNING, "has only 500 MiB left"),
        (10 * GIB, 5000, Level.WARNING, "for only 5000 more files"),
        (50 * MIB, None, Level.FAILED, "is full: 50 MiB"),
        (10 * GIB, 20, Level.FAILED, "20 more files (inodes), so pushes fail"),
    ],
)
def test_room_is_bytes_and_files(free_bytes: int, free_files: int | None, level: Level, words: str) -> None:
    finding = judge_space("data", free_bytes, free_files)
    assert finding.level is level
    assert words in finding.what


def test_each_disk_is_looked_at_once_though_its_folder_is_not_there_yet(machine: Machine) -> None:
    (machine.folder / "data").rmdir()
    [finding] = check_space(machine.installation())
    assert "data (storage.filesystem.rootdirectory)" in finding.what


@pytest.mark.parametrize(("state", "levels"), [(True, [Level.OK]), (False, [Level.WARNING]), (None, [])])
def test_a_clock_that_nobody_sets_is_a_note(machine: Machine, state: bool | None, levels: list[Level]) -> None:  # noqa: FBT001
    assert [one.level for one in check_clock(machine.installation(), lambda: state)] == levels


def test_the_kernel_says_whether_its_clock_is_set() -> None:
    assert is_synchronized() in (True, False, None)


def test_a_clock_before_this_program_is_wrong(machine: Machine) -> None:
    [finding] = check_clock(machine.installation(now=EARLIEST - 1), lambda: True)
    assert finding.level is Level.FAILED


def test_a_clock_that_was_set_back_is_told_where_no_key_signs_yet(machine: Machine) -> None:
    finding = amiss(check_keys(machine.installation(now=machine.now - 3600)))["keys"]
    assert finding.level is Level.FAILED
    assert finding.fix.endswith("if the clock was set back, correct it")


def test_keys_that_are_not_there_yet_are_no_fault(machine: Machine) -> None:
    machine.configure(("keys: keys", "keys: others"))
    [finding] = check_keys(machine.installation())
    assert (finding.level, "the first start creates one" in finding.what) == (Level.OK, True)


def test_a_ring_without_a_key_that_signs_is_wrong(machine: Machine) -> None:
    retire(machine)
    assert amiss(check_keys(machine.installation()))["keys"].level is Level.FAILED


def test_nothing_is_changed(machine: Machine) -> None:
    before = {path: path.read_bytes() for path in machine.folder.rglob("*") if path.is_file()}
    installation = machine.installation()
    for check in (check_ports, check_files, check_names, check_keys, check_space):
        list(check(installation))
    judge_people(machine)
    assert {path: path.read_bytes() for path in machine.folder.rglob("*") if path.is_file()} == before
    assert list((machine.folder / "data").iterdir()) == []
