"""Images out of registries, gathered for an archive."""

import asyncio
import platform as machine

from authproxy.images.archive.output import Form
from authproxy.images.archive.staging import Staging
from authproxy.images.endpoints import Source
from authproxy.images.transfer import Moved, Progress, choose_platform, move_image
from authproxy.oci.image_name import ImageName
from authproxy.oci.manifest import Manifest, Platform

# Go's names of what Python's platform calls a machine.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def own_platform() -> Platform:
    """What docker on this machine runs."""
    name = machine.machine()
    return Platform("linux", _ARCHITECTURES.get(name, name))


async def pull_image(
    source: Source,
    stage: Staging,
    name: ImageName,
    *,
    form: Form,
    platform: Platform | None,
    turns: asyncio.Semaphore,
    progress: Progress,
) -> Moved:
    """Gather one image under its familiar name: one platform, or all where that is None and the form can hold them.

    Raises what the source, the move and the archive raise.
    """
    manifest: Manifest = await source.manifest(name.digest or name.reference)
    if form is Form.DOCKER and platform is None:
        platform = own_platform()
    if platform is not None:
        manifest = await choose_platform(source, manifest, platform)
    return await move_image(source, stage, manifest, name.familiar, turns=turns, progress=progress)
