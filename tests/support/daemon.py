"""A Docker daemon of the tests' own, and docker commands of one person each.

The machine's daemon, if it has one, is never asked: this one has its own socket, data and containerd.
"""

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.binaries import binary
from tests.support.program import Outcome, environment, run, succeed

READY_WITHIN_S = 60.0
STOPPED_WITHIN_S = 60.0

# With nothing of the machine's network touched: the tests that ask for no more need none.
WITHOUT_NETWORK = ("--bridge", "none", "--iptables=false", "--ip6tables=false")

# What an image of the tests prints when it runs.
GREETING = "hello from the image"


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon. `folder` holds all that is its own."""

    folder: Path
    socket: str

    def docker(self, person: str) -> "Docker":
        """The docker command of one person: logins of one don't show to another."""
        home = self.folder / "people" / person
        home.mkdir(parents=True, exist_ok=True)
        return Docker(self, home)


@dataclass(frozen=True, slots=True)
class Docker:
    """The docker command with the configuration, and so the logins, of one person."""

    daemon: Daemon
    home: Path

    def __call__(self, *arguments: str, stdin: str = "") -> Outcome:
        """Run `docker <arguments>` to its end, good or bad."""
        env = environment(self.home, DOCKER_HOST=self.daemon.socket, DOCKER_CONFIG=str(self.home / ".docker"))
        return run(binary("docker"), *arguments, env=env, stdin=stdin)

    def must(self, *arguments: str, stdin: str = "") -> str:
        """The same for what has to end well: what it printed. Raises AssertionError with its words."""
        outcome = self(*arguments, stdin=stdin)
        assert outcome.code == 0, str(outcome)
        return outcome.out

    def login(self, host: str, user: str, password: str) -> Outcome:
        """Log in, the password on standard input."""
        return self("login", host, "--username", user, "--password-stdin", stdin=password)

    def make_image(self, name: str, mark: str) -> None:
        """An image whose content no other has (`mark` is a file in it) and that prints GREETING when it runs."""
        archive = self.home / "image.tar"
        archive.write_bytes(image_layer(mark))
        command = f'CMD ["/bin/busybox", "echo", "{GREETING}"]'
        self.must("import", "--change", command, str(archive), name)


def image_layer(mark: str) -> bytes:
    """A tar archive with a static busybox and a file that holds `mark`: a file system that can run."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content, mode in (
            ("bin/busybox", Path(binary("busybox")).read_bytes(), 0o755),
            ("etc/mark", mark.encode(), 0o644),
        ):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@contextmanager
def running_daemon(
    *, storage: str = "vfs", has_network: bool = False, parent: Path | None = None, through: Sequence[str] = ()
) -> Iterator[Daemon]:
    """A daemon for the length of a block. It starts and stops its containerd itself. Needs root.

    `storage` is how it keeps layers: vfs copies all that is below each of them, and needs nothing of the kernel. Its
    folder is made in `parent`, or where temporary files go. `through`: a program and its arguments that starts the
    daemon behind them in its own place.

    Its containers have no network, unless `has_network`: then the daemon lives in a network namespace, with bridges,
    published ports and names of services as on any machine. Its `localhost` is its own, on which every port is free
    and which docker commands reach through it, and no way leads out.
    """
    assert os.geteuid() == 0, "the tests run a Docker daemon of their own, which takes root: run them as root"
    # Not pytest's folder: the path of a Unix socket has 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="authproxy-dockerd-", dir=parent))
    (folder / "daemon.json").write_text("{}")  # else the machine's own in /etc/docker would be read
    daemon = Daemon(folder, f"unix://{folder}/docker.sock")
    command = [
        *through,
        *((binary("unshare"), "--net") if has_network else ()),  # it becomes what it starts: the process is dockerd
        binary("dockerd"),
        *("--host", daemon.socket, "--config-file", f"{folder}/daemon.json", "--pidfile", f"{folder}/dockerd.pid"),
        *("--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--storage-driver", storage),
        *(() if has_network else WITHOUT_NETWORK),
        *("--exec-opt", "native.cgroupdriver=cgroupfs"),
    ]
    with (folder / "dockerd.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment(folder), cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        _wait_until_ready(daemon, process)
        if has_network:
            inside = (binary("nsenter"), f"--net=/proc/{process.pid}/ns/net")
            succeed(*inside, binary("ip"), "link", "set", "lo", "up", env=environment(folder))
        yield daemon
    finally:
        process.terminate()
        try:
            process.wait(STOPPED_WITHIN_S)
        finally:
            process.kill()
            shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(daemon: Daemon, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    docker = daemon.docker("nobody")
    while docker("version").code != 0:
        words = (daemon.folder / "dockerd.log").read_text()
        assert process.poll() is None, f"dockerd ended with {process.returncode}:\n{words}"
        assert time.monotonic() < deadline, f"dockerd was not ready in {READY_WITHIN_S} s:\n{words}"
        time.sleep(0.1)
