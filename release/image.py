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
from release.layout import attach, put_image, put_index
from release.plan import Plan
from release.sbom import MEDIA_TYPE, of_image
from release.wheel import wheel_of


def make(plan: Plan) -> list[Path]:
    """Make the image from the wheel in dist/, and an SBOM for each architecture."""
    file = plan.dist / f"authproxy-{plan.version}.oci.tar"
    file.unlink(missing_ok=True)
    boms = write_image(plan, Target(file, ArchiveFormat.OCI), ARCHITECTURES)
    for name, content in boms.items():
        (plan.dist / name).write_bytes(content)
    return [file, *(plan.dist / name for name in boms)]


def write_image(plan: Plan, target: Target, architectures: Sequence[Architecture]) -> dict[str, bytes]:
    """Write the image for some architectures as a layout, with an SBOM attached to each. Returns these by file name.

    SNAPSHOT in the environment is the time of its packages: see `debian.download`.
    """
    wheel = wheel_of(plan)
    if not wheel.exists():
        raise ReleaseError(
            f"{wheel} is missing: the image contains it, so make it first: python -m release wheel image"
        )
    return asyncio.run(_write(plan, wheel, target, architectures))


async def _write(plan: Plan, wheel: Path, target: Target, architectures: Sequence[Architecture]) -> dict[str, bytes]:
    with open_staging(target) as stage:
        images = []
        boms: dict[str, bytes] = {}
        for made in make_file_systems(plan, wheel, architectures, os.environ.get("SNAPSHOT", "")):
            image = await put_image(stage, plan, made)
            print(
                f"linux/{image.architecture}: {image.manifest.digest}, "
                f"{image.size / 1e6:.1f} MB, compressed {image.compressed / 1e6:.1f} MB",
                flush=True,
            )
            images.append(image)
            name = f"authproxy-{plan.version}-linux-{image.architecture}.cdx.json"
            boms[name] = of_image(plan, made)
            await attach(stage, image, MEDIA_TYPE, name, boms[name])
        index = await put_index(stage, plan, images, f"authproxy:{plan.version}")
        print(f"authproxy:{plan.version}: {index.digest}", flush=True)
        write_archive(stage, target)
    return boms
