"""Containers of the tests' own daemon."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.daemon import Docker

READY_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Container:
    """One that runs."""

    docker: Docker
    name: str

    @property
    def output(self) -> str:
        """All that it has said."""
        return self.docker("logs", self.name).text

    @property
    def user_id(self) -> int:
        """Who its first process is, on the machine."""
        pid = self.docker.must("inspect", "--format", "{{.State.Pid}}", self.name).strip()
        status = (Path("/proc") / pid / "status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1])

    @property
    def health(self) -> str:
        """What the daemon's health check has found: starting, healthy or unhealthy."""
        state = json.loads(self.docker.must("inspect", "--format", "{{json .State.Health}}", self.name))
        return str(state["Status"])


@contextmanager
def running_container(docker: Docker, *arguments: str) -> Iterator[Container]:
    """`docker run -d ARGUMENTS` for the length of a block, from the line on in which it listens."""
    name = docker.must("run", "--detach", *arguments).strip()
    container = Container(docker, name)
    try:
        wait_until_it_listens(container)
        yield container
    finally:
        docker("rm", "--force", "--volumes", name)


def wait_until_it_listens(container: Container) -> None:
    """Raises AssertionError with its words where it ends, or takes too long."""
    deadline = time.monotonic() + READY_WITHIN_S
    while "listening on" not in (said := container.output):
        running = container.docker.must("inspect", "--format", "{{.State.Running}}", container.name).strip()
        assert running == "true", f"the container has ended:\n{said}"
        assert time.monotonic() < deadline, f"it was not ready in {READY_WITHIN_S} s:\n{said}"
        time.sleep(0.1)
