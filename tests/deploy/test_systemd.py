"""The unit of deploy/systemd: what systemd says of it, and whether the server can live with what it takes away.

That the server tells systemd when it serves is asked in tests/faults/test_health_command.py, on a real socket.
"""

import configparser
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.deploy import pages
from tests.deploy.conftest import Built
from tests.deploy.people import ACCOUNT, PASSWORD, push_and_pull, write_certificate
from tests.support.binaries import ROOT, binary
from tests.support.container import running_container
from tests.support.program import Outcome, environment, run, succeed

PAGE = "run-with-systemd"
FOLDER = ROOT / "deploy/systemd"
UNIT = FOLDER / "authproxy.service"
# Tenths of systemd's points of exposure, of which 100 is the most: what it calls OK ends at 49.
EXPOSURE = 20
HOST = "localhost:443"

PROT_WRITE, PROT_EXEC = 2, 4
# What a condition asks is answered by a library in machine code, which must not make more of it.
CONDITION = """\
version: 1
rules:
  - name: administrators over TLS
    allow: [pull, push]
    to: {groups: [admins]}
    on: {repositories: ["**"]}
    when: request.tls && resource.repository.matches("^bat")
"""
# In Python, which is what the image has: memory that can be written and run, and a file given away.
FORBIDDEN = """\
import mmap, os
for what in (lambda: mmap.mmap(-1, 4096, prot=7), lambda: os.chown("/tmp", 65532, -1)):
    try:
        what()
    except PermissionError:
        print("refused")
"""


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


def calls_of(group: str, home: Path) -> set[str]:
    """The system calls of a group, and of those in it: `systemd-analyze syscall-filter`."""
    listing = succeed(binary("systemd-analyze"), "syscall-filter", group, env=environment(home)).out
    names = [line.strip() for line in listing.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    groups = [name for name in names if name.startswith("@")]
    return {name for name in names if name not in groups}.union(*(calls_of(name, home) for name in groups))


def seccomp_profile(home: Path) -> dict[str, Any]:
    """The unit's SystemCallFilter and MemoryDenyWriteExecute as docker takes them."""
    allowed: set[str] = set()
    for line in settings("SystemCallFilter"):
        calls = set[str]().union(*(calls_of(group, home) for group in line.removeprefix("~").split()))
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    assert settings("MemoryDenyWriteExecute") == ["yes"]
    mapped = {"mmap": (PROT_WRITE | PROT_EXEC, (0, PROT_WRITE, PROT_EXEC))}
    protected = dict.fromkeys(("mprotect", "pkey_mprotect"), (PROT_EXEC, (0,)))
    rules: list[dict[str, Any]] = [{"names": sorted(allowed - {*mapped, *protected}), "action": "SCMP_ACT_ALLOW"}]
    for name, (mask, values) in (mapped | protected).items():
        for value in values:
            args = [{"index": 2, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}]
            rules.append({"names": [name], "action": "SCMP_ACT_ALLOW", "args": args})
    return {"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": rules}


def test_the_server_can_live_with_the_units_filters(built: Built, tmp_path: Path) -> None:
    """systemd is not what runs here, so docker sets the same filters; by the configuration that the unit names."""
    docker = built.docker
    (tmp_path / "seccomp.json").write_text(json.dumps(seccomp_profile(tmp_path)))
    write_certificate(tmp_path / "certs", ACCOUNT)
    confined = (
        *("--user", f"{ACCOUNT}:{ACCOUNT}", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),  # noqa: S108
        *("--security-opt", "no-new-privileges", "--security-opt", f"seccomp={tmp_path}/seccomp.json"),
    )
    config = "/etc/authproxy/config.yml"
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/when.yaml").write_text(CONDITION)
    files = (
        *("-v", f"{tmp_path}/certs:/etc/authproxy/certs", "-v", f"{tmp_path}/policies:/etc/authproxy/policies"),
        *("-v", f"{ROOT}/deploy/config.yml:{config}", "-v", "confined:/var/lib/authproxy"),
    )
    python = ("--entrypoint", "/opt/authproxy/bin/python3", built.image)
    assert docker.must("run", "--rm", *confined, *python, "-c", FORBIDDEN).split() == ["refused", "refused"]
    add = pages.command(PAGE, "/opt/authproxy/bin/authproxy user add").split()[1:]
    docker.must("run", "--rm", "-i", *confined, *files, built.image, *add, "--password-stdin", stdin=PASSWORD)
    workers = ("-e", "REGISTRY_HTTP_WORKERS=2")
    with running_container(docker, "-p", "443:443", *workers, *confined, *files, built.image, "serve", config) as it:
        push_and_pull(docker, HOST, "admin")
        assert it.user_id == ACCOUNT
        assert "rror" not in it.output, it.output
    docker("volume", "rm", "confined")
