"""The container image that `make release-image` built, loaded once by a daemon of our own."""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from release.local import load
from tests.support.daemon import Daemon, Docker, running_daemon
from tests.support.released import released

# vfs would copy all that is below each layer.
STORAGE = "overlay2" if "overlay" in Path("/proc/filesystems").read_text() else "vfs"
# Tens of thousands of files are made, and removed at the end: 23 s on a disk. A container may have but 64 MiB of this.
MEMORY = Path("/dev/shm")  # noqa: S108
ROOMY_BYTES = 4 * 1024**3
IMAGE = "authproxy"


@dataclass(frozen=True, slots=True)
class Built:
    """The image, in a daemon that loaded it."""

    daemon: Daemon
    docker: Docker  # who runs containers
    image: str


@pytest.fixture(scope="session")
def built() -> Iterator[Built]:
    """A daemon that has the image, and a network of its own: all ports are free there, so that lines can be run as
    they are written."""
    layout = released("*.oci.tar")
    memory = MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOMY_BYTES else None
    with running_daemon(storage=STORAGE, has_network=True, parent=memory) as daemon:
        docker = daemon.docker("operator")
        # As `make image` does, but from the layout for all architectures.
        asyncio.run(load(layout, IMAGE, {"DOCKER_HOST": daemon.socket}))
        yield Built(daemon, docker, IMAGE)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An empty folder of root's, as `mkdir /mnt/registry` leaves it."""
    folder = tmp_path / "registry"
    folder.mkdir()
    return folder
