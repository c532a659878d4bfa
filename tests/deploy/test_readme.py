"""The first ten minutes: the lines of the README, typed at a terminal in an empty folder, up to a push that is denied.

A newcomer has Docker's daemon and the image of the release; or pipx and its wheel. Neither has a clone.
"""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.deploy.conftest import Built
from tests.deploy.pages import commands_of
from tests.support.binaries import ROOT, binary
from tests.support.daemon import Docker
from tests.support.program import DEBIAN_PATH, Outcome, environment
from tests.support.released import released
from tests.support.terminal import type_line

README = (ROOT / "README.md").read_text(encoding="utf-8")
ALICES_PASSWORD = "a password of alice's own"
STARTED_WITHIN_S = 60.0
EXEC = re.compile(r"^docker exec (-it )?registry ")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PASSWORD_LINE = re.compile(r"^ *password +(\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Types at a terminal, in an empty folder."""

    docker: Docker
    folder: Path
    settings: Mapping[str, str] = field(default_factory=lambda: {"PATH": DEBIAN_PATH})

    def type(self, line: str, *answers: tuple[str, str]) -> Outcome:
        """Type a line."""
        return type_line(line, env=self.environment, cwd=self.folder, answers=answers)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of that terminal."""
        config = self.docker.home / ".docker"
        return environment(
            self.folder, DOCKER_HOST=self.docker.daemon.socket, DOCKER_CONFIG=str(config), **self.settings
        )

    def must(self, line: str, *answers: tuple[str, str]) -> str:
        """Type a line that ends well: what it showed."""
        outcome = self.type(line, *answers)
        assert outcome.code == 0, str(outcome)
        return outcome.out


def line_of(start: str) -> str:
    """The only command of the README that begins so."""
    found = [line for line in commands_of(README) if line.startswith(start)]
    assert len(found) == 1, f"the README has {len(found)} commands that begin with {start!r}"
    return found[0]


@pytest.fixture
def newcomer(built: Built, tmp_path: Path) -> Newcomer:
    return Newcomer(built.docker.daemon.docker("newcomer"), tmp_path)


@contextmanager
def started(newcomer: Newcomer) -> Iterator[None]:
    newcomer.must(line_of("docker run"))
    try:
        yield
    finally:
        newcomer.docker("rm", "--force", "--volumes", "registry")
        newcomer.docker("volume", "rm", "--force", "registry")


@contextmanager
def served(newcomer: Newcomer, line: str, log: Path) -> Iterator[None]:
    """A server on the machine of the daemon: in its network, where port 5000 is free."""
    pid = (newcomer.docker.daemon.folder / "dockerd.pid").read_text().strip()
    command = (binary("nsenter"), f"--net=/proc/{pid}/ns/net", binary("bash"), "-c", f"exec {line}")
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=newcomer.environment, cwd=newcomer.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(STARTED_WITHIN_S)


def password_in(log: Callable[[], str]) -> str:
    """The admin's password, as soon as the server has printed it and listens."""
    deadline = time.monotonic() + STARTED_WITHIN_S
    while "listening on https://" not in (shown := log()):
        assert time.monotonic() < deadline, shown
        time.sleep(0.1)
    found = PASSWORD_LINE.search(shown)
    assert found, shown
    return found[1]


def test_login_and_tls_are_on_before_line_15() -> None:
    lines = README.splitlines()[:14]
    assert [line for line in lines if line.startswith("docker run")]
    assert [line for line in lines if line.startswith("docker login")]


def test_from_an_empty_folder_with_docker_to_a_denied_push_that_says_why(newcomer: Newcomer) -> None:
    with started(newcomer):
        push_and_be_denied(newcomer, password_in(lambda: newcomer.must(line_of("docker logs"))))


def test_from_an_empty_folder_with_pipx_to_a_denied_push_that_says_why(newcomer: Newcomer, tmp_path: Path) -> None:
    """As the README says it in a sentence. Its wheel is ours, and what that needs comes from PyPI, as it is locked."""
    assert "`pipx install authproxy-registry`, then `authproxy serve --embedded`" in README
    wheel = released("*.whl")
    locked = tmp_path / "constraints.txt"
    locked.write_text("\n".join(re.findall(r"^[a-z0-9_.-]+==\S+(?: ;.*[^ \\\\])?", LOCK, re.MULTILINE)))
    pipx = {"PIPX_HOME": f"{tmp_path}/pipx", "PIPX_BIN_DIR": f"{tmp_path}/bin", "PIP_CONSTRAINT": str(locked)}
    newcomer = replace(newcomer, settings={**pipx, "PATH": f"{tmp_path}/bin:{DEBIAN_PATH}"})
    newcomer.must(f"{Path(sys.executable).with_name('pipx')} install --python {sys.executable} {wheel}")
    log = tmp_path / "log"
    with served(newcomer, "authproxy serve --embedded", log):
        push_and_be_denied(newcomer, password_in(log.read_text), exec_in_container="")


def push_and_be_denied(newcomer: Newcomer, password: str, *, exec_in_container: str | None = None) -> None:
    """Type the README from its first login on; `exec_in_container` replaces its `docker exec` where there is none."""

    def line(start: str) -> str:
        found = line_of(start)
        return found if exec_in_container is None else EXEC.sub(exec_in_container, found)

    newcomer.docker.make_image("busybox", "readme")
    assert "Login Succeeded" in newcomer.must(line("docker login localhost:5000 -u admin"), ("Password: ", password))
    newcomer.must(line("docker tag"))
    push = next(line for line in commands_of(README) if line.startswith("docker push"))
    assert "digest: sha256:" in newcomer.must(push)
    newcomer.must(
        line("docker exec -it registry authproxy user add alice"),
        *(("Password for alice: ", ALICES_PASSWORD), ("Once more: ", ALICES_PASSWORD)),
    )
    deadline = time.monotonic() + STARTED_WITHIN_S
    as_alice = line("docker login localhost:5000 -u alice")
    while (login := newcomer.type(as_alice, ("Password: ", ALICES_PASSWORD))).code != 0:  # seen within two seconds
        assert time.monotonic() < deadline, str(login)
    denied = newcomer.type(push)
    assert denied.code == 1, str(denied)
    assert "denied: " in denied.out
    explained = newcomer.type(line("docker exec registry authproxy policy explain"))
    *printed, rest = README.split("```text\n")[1].split("```")[0].rstrip().splitlines()
    assert [text for text in printed if text not in explained.out] == []
    assert rest.strip() == "…"
