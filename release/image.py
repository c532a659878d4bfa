"""The image for all architectures: dist/authproxy-VERSION.oci.tar, an OCI image layout."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from authproxy.images.archive.output import ArchiveFormat, Target
from authproxy.images.archive.staging import open_staging
from authproxy.images.archive.writing import write_archive
from release.architecture import ARCHITECTURES, Architecture
from release.errors import ReleaseError
from release.filesystem import make_file_systems
from release.layout import put_image, put_index
from release.plan import Plan
from release.wheel import wheel_of


def make(plan: Plan) -> list[Path]:
    """Make the image from the wheel in dist/."""
    file = plan.dist / f"authproxy-{plan.version}.oci.tar"
    file.unlink(missing_ok=True)
    write_image(plan, Target(file, ArchiveFormat.OCI), ARCHITECTURES)
    return [file]


def write_image(plan: Plan, target: Target, architectures: Sequence[Architecture]) -> None:
    """Write the image for some architectures as a layout. SNAPSHOT in the environment is the time of its packages."""
    wheel = wheel_of(plan)
    if not wheel.exists():
        raise ReleaseError(
            f"{wheel} is missing: the image contains it, so make it first: python -m release wheel image"
        )
    asyncio.run(_write(plan, wheel, target, architectures))


async def _write(plan: Plan, wheel: Path, target: Target, architectures: Sequence[Architecture]) -> None:
    with open_staging(target) as stage:
        images = []
        for made in make_file_systems(plan, wheel, architectures, os.environ.get("SNAPSHOT", "")):
            image = await put_image(stage, plan, made)
            print(
                f"linux/{image.architecture}: {image.manifest.digest}, "
                f"{image.size / 1e6:.1f} MB, compressed {image.compressed / 1e6:.1f} MB",
                flush=True,
            )
            images.append(image)
        index = await put_index(stage, plan, images, f"authproxy:{plan.version}")
        print(f"authproxy:{plan.version}: {index.digest}", flush=True)
        write_archive(stage, target)
