"""A machine with systemd as its first process, in a container, and the program where the page installs it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.conftest import Built
from tests.support.binaries import ROOT, binary
from tests.support.daemon import Docker
from tests.support.program import environment, succeed

STARTED_WITHIN_S = 60.0
CLONE = "/clone"

# What has to be given back to a container, so that systemd may make the namespaces in which it keeps services.
RIGHTS = (
    *("--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--cgroupns", "host", "-v", "/sys/fs/cgroup:/sys/fs/cgroup", "--tmpfs", "/run", "--tmpfs", "/tmp"),  # noqa: S108
)


@dataclass(frozen=True, slots=True)
class Machine:
    """One that runs; commands are root's, in the clone."""

    docker: Docker
    name: str

    def must(self, *words: str, stdin: str = "") -> str:
        """Run a command to its end, which has to be good: what it printed."""
        return self.docker.must("exec", "-i", "-w", CLONE, self.name, *words, stdin=stdin)

    def status_of(self, service: str) -> dict[str, str]:
        """What the kernel says of the first process of a service: /proc/PID/status."""
        pid = self.must("systemctl", "show", "--property", "MainPID", "--value", service).strip()
        lines = self.must("cat", f"/proc/{pid}/status").splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@contextmanager
def running_machine(built: Built, folder: Path, *options: str) -> Iterator[Machine]:
    """One for the length of a block, with options of `docker run`; /opt/authproxy is that of the image."""
    image = ROOT / "build/machine.tar"
    assert image.exists(), "there is no image of a machine: run `make machine`"
    docker = built.docker
    docker.must("import", str(image), "machine")
    (folder / "Dockerfile").write_text(f"FROM machine\nCOPY --from={built.image} /opt/authproxy /opt/authproxy\n")
    env = environment(docker.home, DOCKER_HOST=built.daemon.socket, DOCKER_BUILDKIT="0")
    succeed(binary("docker"), "build", "--network", "none", "-t", "machine", ".", env=env, cwd=folder)
    clone = ("-v", f"{ROOT}:{CLONE}:ro", "-e", "container=docker")
    machine = Machine(docker, docker.must("run", "-d", *RIGHTS, *clone, *options, "machine", "/sbin/init").strip())
    try:
        wait_until_it_is_up(machine)
        yield machine
    finally:
        docker("rm", "--force", "--volumes", machine.name)


def wait_until_it_is_up(machine: Machine) -> None:
    """Raises AssertionError with systemd's words where that takes too long."""
    deadline = time.monotonic() + STARTED_WITHIN_S
    asked = ("exec", machine.name, "systemctl", "is-system-running")
    while (state := machine.docker(*asked)).out.strip() not in ("running", "degraded"):
        assert time.monotonic() < deadline, f"{state}\n{machine.docker('logs', machine.name)}"
        time.sleep(0.1)
