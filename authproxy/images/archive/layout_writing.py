"""What was gathered, as an OCI image layout: OCI Image 1.1, "Image Layout"."""

import json
from pathlib import Path

from authproxy.images.archive.layout import CONTAINERD_NAME, INDEX_JSON, OCI_LAYOUT, REF_NAME
from authproxy.images.archive.members import need
from authproxy.images.archive.staging import Staging
from authproxy.images.archive.tar_writing import TarWriter, Writable
from authproxy.oci.media_types import OCI_INDEX

BLOBS = "blobs"


def write_layout_files(stage: Staging) -> None:
    """Make the folder itself a layout. Raises OSError."""
    for name, content in _files(stage).items():
        (stage.folder / name).write_bytes(content)


def write_layout_tar(stage: Staging, out: Writable) -> None:
    """Write the layout as a tar. Raises OSError, ArchiveError."""
    tar = TarWriter(out)
    for name, content in _files(stage).items():
        tar.add(name, content)
    for file in _blobs(stage.folder):
        tar.copy(file, need(stage.members, file, INDEX_JSON))
    tar.finish()


def _blobs(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in (folder / BLOBS).rglob("*") if file.is_file())


def _files(stage: Staging) -> dict[str, bytes]:
    entries = [
        {
            "mediaType": manifest.media_type,
            "digest": str(manifest.digest),
            "size": len(manifest.content),
            # Both are the whole name: images of one archive often have the same tag. containerd and docker load read
            # the first, podman and skopeo the second.
            "annotations": {CONTAINERD_NAME: name, REF_NAME: name},
        }
        for name, manifest in stage.named.items()
    ]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return {OCI_LAYOUT: _json({"imageLayoutVersion": "1.0.0"}), INDEX_JSON: _json(index)}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
