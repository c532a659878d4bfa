"""The unit of deploy/systemd: what systemd says of it, and the page followed on a machine with systemd.

That the server tells systemd when it serves is asked in tests/faults/test_health_command.py, on a real socket.
"""

import configparser
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy import pages
from tests.deploy.conftest import Built
from tests.deploy.machine import Machine, running_machine
from tests.deploy.people import PASSWORD, push_and_pull, write_certificate
from tests.support.binaries import ROOT, binary
from tests.support.program import Outcome, environment, run, succeed

PAGE = "run-with-systemd"
FOLDER = ROOT / "deploy/systemd"
UNIT = FOLDER / "authproxy.service"
# Tenths of systemd's points of exposure, of which 100 is the most: what it calls OK ends at 49.
EXPOSURE = 20
HOST = "localhost:443"

# What the image of the machine has already.
INSTALLED = ("python3 -m venv", "/opt/authproxy/bin/pip")
# Makes the first rule one with a condition, which a library in machine code decides: it must not make more of it.
CONDITION = r's/^    on: {repositories: \["\*\*"\]}/&\n    when: request.tls \&\& resource.repository.matches("^bat")/'


def settings(name: str) -> list[str]:
    """Every value of a key of the unit's service."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The files that a unit is verified beside, as the page installs them."""
    machine = Path("/lib/systemd/system")
    units = tmp_path / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    for file in (*machine.glob("*.target"), *machine.glob("*.slice"), *machine.glob("*.socket")):
        shutil.copy(file, units)
    program = tmp_path / "opt/authproxy/bin/authproxy"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    shutil.copy(UNIT, tmp_path / "etc/systemd/system")
    return tmp_path


def verify(root: Path) -> Outcome:
    return run(binary("systemd-analyze"), "verify", f"--root={root}", UNIT.name, env=environment(root))


def test_systemd_finds_nothing_wrong_with_the_unit(root: Path) -> None:
    outcome = verify(root)
    assert (outcome.code, outcome.text) == (0, "")


def test_systemd_would_find_a_key_that_it_does_not_know(root: Path) -> None:
    unit = root / "etc/systemd/system" / UNIT.name
    unit.write_text(unit.read_text().replace("ProtectClock=", "ProtectClocks="))
    assert "Unknown key 'ProtectClocks'" in verify(root).text


def test_the_unit_takes_enough_away(tmp_path: Path) -> None:
    command = ("security", "--offline=yes", "--no-pager", f"--threshold={EXPOSURE}", str(UNIT))
    succeed(binary("systemd-analyze"), *command, env=environment(tmp_path))


def test_the_unit_has_what_the_program_needs() -> None:
    assert settings("Type") == ["notify"]
    assert settings("NotifyAccess") == ["all"], "of several workers one tells"
    assert settings("AmbientCapabilities") == settings("CapabilityBoundingSet") == ["CAP_NET_BIND_SERVICE"]
    config = pages.command(PAGE, "install -m 640 -g authproxy deploy/config.yml").split()[-1]
    assert settings("ExecStart") == [f"/opt/authproxy/bin/authproxy serve {config}"]
    assert settings("User") == ["authproxy"]


def test_the_account_is_one_that_systemd_makes(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    succeed(
        *(binary("systemd-sysusers"), f"--root={tmp_path}", str(FOLDER / "authproxy.sysusers")),
        env=environment(tmp_path),
    )
    made = configparser.RawConfigParser(delimiters=(":",), allow_no_value=True)
    made.read_string("[passwd]\n" + (tmp_path / "etc/passwd").read_text())
    assert made["passwd"]["authproxy"].endswith(":authproxy:/var/lib/authproxy:/usr/sbin/nologin")


@pytest.fixture
def machine(built: Built, tmp_path: Path) -> Iterator[Machine]:
    """One whose administrator has a certificate."""
    (tmp_path / "image").mkdir()
    write_certificate(tmp_path / "live")
    (tmp_path / "live/domain.crt").rename(tmp_path / "live/fullchain.pem")
    (tmp_path / "live/domain.key").rename(tmp_path / "live/privkey.pem")
    certificate = ("-v", f"{tmp_path}/live:/etc/letsencrypt/live/registry.example.com:ro")
    with running_machine(built, tmp_path / "image", "-p", "443:443", *certificate) as it:
        yield it


def test_the_service_is_put_up_as_the_page_says(built: Built, machine: Machine) -> None:
    for line in pages.commands(PAGE):
        if not line.startswith(INSTALLED):
            asks = " user add " in line
            words = [*shlex.split(line), *(["--password-stdin"] if asks else [])]
            machine.must(*words, stdin=PASSWORD if asks else "")
    # `systemctl enable --now` has come back, so it serves.
    push_and_pull(built.docker, HOST, "admin")
    assert_it_may_do_little(machine)

    machine.must("sed", "-i", CONDITION, "/etc/authproxy/policies/default.yaml")
    machine.must("sed", "-i", "s/^http:/http:\\n  workers: 2/", "/etc/authproxy/config.yml")
    assert "when: request.tls &&" in machine.must("cat", "/etc/authproxy/policies/default.yaml")
    machine.must("systemctl", "restart", "authproxy")
    processes = re.findall(r"─ *\d+ .*authproxy serve", machine.must("systemctl", "status", "authproxy"))
    assert len(processes) == 3, "two workers and their parent"
    push_and_pull(built.docker, HOST, "admin")
    said = machine.must("journalctl", "--no-pager", "-u", "authproxy")
    assert "rror" not in said, said

    machine.must("systemctl", "stop", "authproxy")
    ended = machine.must("systemctl", "show", "--property", "Result,ExecMainStatus", "authproxy")
    assert sorted(ended.split()) == ["ExecMainStatus=0", "Result=success"]


def assert_it_may_do_little(machine: Machine) -> None:
    """As the kernel sees it."""
    status = machine.status_of("authproxy")
    assert status["Uid"].split()[0] == machine.must("id", "-u", "authproxy").strip()
    net_bind_service = 10
    for capabilities in ("CapEff", "CapBnd", "CapAmb"):
        assert int(status[capabilities], 16) == 1 << net_bind_service, capabilities
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
