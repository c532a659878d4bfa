"""The container image, built once by a daemon of our own from what `make wheelhouse base` made."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.binaries import ROOT, binary
from tests.support.daemon import Daemon, Docker, running_daemon
from tests.support.program import environment, succeed

BUILT_WITHIN_S = 300.0
# A build has a dozen layers on a whole Debian. vfs would copy that for each of them, twice.
STORAGE = "overlay2" if "overlay" in Path("/proc/filesystems").read_text() else "vfs"
# Tens of thousands of files are made, and removed at the end: 23 s on a disk. A container may have but 64 MiB of this.
MEMORY = Path("/dev/shm")  # noqa: S108
ROOMY_BYTES = 4 * 1024**3
BASE = "debian-with-python"
IMAGE = "authproxy"


@dataclass(frozen=True, slots=True)
class Built:
    """The image, in the daemon that built it."""

    daemon: Daemon
    docker: Docker  # who runs containers
    image: str


@pytest.fixture(scope="session")
def built() -> Iterator[Built]:
    """A daemon that has the image, and a network of its own: all ports are free there, so that lines can be run as
    they are written."""
    base = ROOT / "build/base.tar"
    assert base.exists(), "there is no base image: run `make base wheelhouse`"
    memory = MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOMY_BYTES else None
    with running_daemon(storage=STORAGE, has_network=True, parent=memory) as daemon:
        docker = daemon.docker("operator")
        docker.must("import", str(base), BASE)
        # Neither network nor BuildKit: what the build needs is in the wheelhouse.
        command = ("build", "--network", "none", "-f", "deploy/image/Dockerfile", "--build-arg", f"BASE={BASE}")
        succeed(
            *(binary("docker"), *command, "-t", IMAGE, "."),
            env=environment(docker.home, DOCKER_HOST=daemon.socket, DOCKER_BUILDKIT="0"),
            cwd=ROOT,
            timeout_s=BUILT_WITHIN_S,
        )
        yield Built(daemon, docker, IMAGE)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An empty folder of root's, as `mkdir /mnt/registry` leaves it."""
    folder = tmp_path / "registry"
    folder.mkdir()
    return folder
