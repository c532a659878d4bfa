"""Whether a layout can be pushed as it is: all that it lists is there, in the form that a registry should get."""

from authproxy.images.archive.layout import LayoutArchive
from authproxy.oci.manifest import Manifest
from authproxy.oci.media_types import DOCKER_TAR, OCI_TAR

# Layers that are plain tars: registries take them, and everybody who pulls moves two to three times the bytes.
PLAIN_LAYERS = frozenset({OCI_TAR, DOCKER_TAR})


def is_ready(layout: LayoutArchive) -> bool:
    """Whether every manifest and blob is there and every layer packed. Raises ArchiveError where one is damaged."""
    pending = [image.identity for image in layout.images]
    seen = set(pending)
    while pending:
        digest = pending.pop()
        manifest = layout.find_manifest(digest)
        if manifest is None or not _has_good_blobs(layout, manifest):
            return False
        new = {child.digest for child in manifest.children} - seen
        seen |= new
        pending += new
    return True


def _has_good_blobs(layout: LayoutArchive, manifest: Manifest) -> bool:
    return all(
        blob.media_type not in PLAIN_LAYERS and (blob.is_elsewhere or layout.has(blob.digest))
        for blob in manifest.blobs
    )
