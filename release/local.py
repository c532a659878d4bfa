"""`python -m release.local NAME`: builds the image for this machine, and loads it into docker if its daemon answers."""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from authproxy.images.archive.layout import LayoutArchive
from authproxy.images.archive.opening import open_archive
from authproxy.images.archive.output import ArchiveFormat, Target
from authproxy.images.archive.staging import open_staging
from authproxy.images.archive.writing import write_archive
from authproxy.images.daemon import DaemonError, find_socket, open_daemon
from authproxy.images.transfer import choose_platform, transfer_image
from authproxy.oci.manifest import Platform
from release.architecture import Architecture, this_machines
from release.errors import ReleaseError
from release.image import write_image
from release.plan import ROOT, read_plan
from release.wheel import make as make_wheel

ARCHIVE = "authproxy-for-docker"


def main(arguments: list[str]) -> int:
    """Build and load the image. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m release.local", description=__doc__)
    parser.add_argument("name", nargs="?", default="authproxy", help="the image's name in docker (default: authproxy)")
    given = parser.parse_args(arguments)
    try:
        layout = build(ROOT / "build" / "image")
        asyncio.run(load(layout, given.name, os.environ))
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


def build(folder: Path) -> Path:
    """Build the wheel and the image for this machine into a folder. Returns the layout. Raises ReleaseError."""
    plan = read_plan(folder, is_trial=True)
    make_wheel(plan)
    layout = folder / "authproxy.oci.tar"
    layout.unlink(missing_ok=True)
    write_image(plan, Target(layout, ArchiveFormat.OCI), (this_machines(),))
    return layout


async def load(layout: Path, name: str, environment: Mapping[str, str]) -> None:
    """Load the image into docker; without a daemon, print what to do with the layout.

    DOCKER_HOST in the environment is the daemon, as for docker.
    """
    archive = layout.with_name(f"{ARCHIVE}.tar")
    await write_docker_archive(layout, archive, name, this_machines())
    try:
        with archive.open("rb") as file:
            async with open_daemon(find_socket(environment)) as daemon:
                for line in await daemon.load(file):
                    print(line)
        archive.unlink()
    except DaemonError as error:
        print(f"not loaded into docker: {error}")
        print(f"docker load, later:   docker load -i {archive}")
        print(f"into a registry:      authproxy images push {layout} REGISTRY")


async def write_docker_archive(layout: Path, file: Path, name: str, architecture: Architecture) -> None:
    """Write the image of a layout as docker load of any version reads it."""
    with open_archive(layout) as archive, open_staging(target := Target(file, ArchiveFormat.DOCKER)) as stage:
        assert isinstance(archive, LayoutArchive), "it was written as a layout"
        index = await archive.manifest(archive.images[0].reference)
        chosen = await choose_platform(archive, index, Platform("linux", architecture.name))
        await transfer_image(archive, stage, chosen, name if ":" in name.rpartition("/")[2] else f"{name}:latest")
        write_archive(stage, target)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
