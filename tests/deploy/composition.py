"""Compositions of deploy/, started in a copy of it by Debian's `docker-compose`, the `docker compose` of before."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.pages import typed
from tests.deploy.people import ACCOUNT, write_certificate
from tests.support.binaries import ROOT, binary
from tests.support.container import Container
from tests.support.daemon import Docker
from tests.support.program import environment, run

PAGE = "run-with-compose"
NOT_COPIED = ("certs", "data", ".env", "admin-password", "compose.override.yaml")  # the developer's own


@dataclass(frozen=True, slots=True)
class Composition:
    """One, in the folder in which its commands are typed."""

    docker: Docker
    folder: Path
    file: str

    def must(self, *arguments: str, stdin: str = "") -> str:
        """Run `docker-compose -f FILE ARGUMENTS`, which has to end well: what it printed."""
        env = environment(self.docker.home, DOCKER_HOST=self.docker.daemon.socket)
        outcome = run(binary("docker-compose"), "-f", self.file, *arguments, env=env, cwd=self.folder, stdin=stdin)
        assert outcome.code == 0, str(outcome)
        return outcome.out

    def type(self, start: str, *more: str, stdin: str = "") -> str:
        """Run the page's only command that begins so; `more` are options behind its own."""
        words = typed(PAGE, start, self.folder)
        if words[0] == "echo":
            _, line, sign, name = words
            assert sign == ">"
            (self.folder / name).write_text(f"{line}\n")
            return ""
        assert words[:2] == ["docker", "compose"]
        words = words[2:]
        if words[0] == "-f":
            assert words[1] == self.file
            words = words[2:]
        if words[0] in ("run", "exec"):
            words.insert(1, "-T")  # a test has no terminal
        return self.must(*words, *more, stdin=stdin)

    def container(self, service: str) -> Container:
        """The running container of a service."""
        return Container(self.docker, self.must("ps", "-q", service).strip())


@contextmanager
def composition(docker: Docker, folder: Path, file: str) -> Iterator[Composition]:
    """One of a copy of deploy/ with a certificate, for the length of a block; nothing runs yet. Its volumes go too."""
    for name in ("deploy", "policies"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(*NOT_COPIED))
    write_certificate(folder / "deploy/certs", ACCOUNT)
    it = Composition(docker, folder / "deploy", file)
    try:
        yield it
    finally:
        it.must("down", "--volumes", "--timeout", "5")
