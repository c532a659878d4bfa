"""Writes staged images as an archive: an OCI image layout (OCI Image 1.1, "Image Layout"), or one for `docker load`.

The archive gets its name only when it is complete.
"""

import gzip
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, cast

import zstandard

from authproxy.digest import Digest
from authproxy.images.archive.docker_save import MANIFEST_JSON, SavedImage, read_config
from authproxy.images.archive.errors import ArchiveError
from authproxy.images.archive.layers import PlainLayer
from authproxy.images.archive.layout import CONTAINERD_NAME, INDEX_JSON, OCI_LAYOUT, REF_NAME, blob_name
from authproxy.images.archive.members import Member, need
from authproxy.images.archive.output import ArchiveFormat, Target
from authproxy.images.archive.staging import Staging
from authproxy.images.archive.tar import TarWriter, Writable
from authproxy.oci.manifest import Manifest
from authproxy.oci.media_types import DOCKER_CONFIG, OCI_CONFIG, OCI_INDEX

BLOBS = "blobs"

# What docker accepts as the configuration of an image; anything else is an artifact, which it cannot load.
CONFIG_TYPES = frozenset({DOCKER_CONFIG, OCI_CONFIG})


def write_archive(stage: Staging, target: Target) -> None:
    """Write the staged images. Replaces an existing file atomically. Raises ArchiveError; for a thread."""
    try:
        if target.path is None:
            with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
                _write(stage, target, out)
        elif target.is_folder:
            write_layout_files(stage)
            stage.folder.chmod(0o755)  # mkdtemp gives access to the owner only
            stage.folder.rename(target.path)  # an empty folder is replaced
        else:
            file = stage.folder / "archive"
            with file.open("xb") as out:
                _write(stage, target, out)
                os.fsync(out.fileno())
            file.rename(target.path)
    except OSError as error:
        raise ArchiveError(stage.target, f"cannot be written: {error.strerror}") from error


def _write(stage: Staging, target: Target, file: BinaryIO) -> None:
    with _compressed(target.compression, file) as out:
        (write_docker_archive if target.form is ArchiveFormat.DOCKER else write_layout_tar)(stage, out)


@contextmanager
def _compressed(compression: str | None, file: BinaryIO) -> Iterator[Writable]:
    if compression is None:
        yield file
    elif compression == "gzip":
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as out:
            yield out
    else:
        with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as out:
            yield cast("Writable", out)


def write_layout_files(stage: Staging) -> None:
    """Turn the staging folder into a layout. Raises OSError."""
    for name, content in _layout_files(stage).items():
        (stage.folder / name).write_bytes(content)


def write_layout_tar(stage: Staging, out: Writable) -> None:
    """Write the layout as a tar. Raises OSError, ArchiveError."""
    tar = TarWriter(out)
    for name, content in _layout_files(stage).items():
        tar.add(name, content)
    for file in _blobs(stage.folder):
        tar.copy(file, need(stage.members, file, INDEX_JSON))
    tar.finish()


def _blobs(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in (folder / BLOBS).rglob("*") if file.is_file())


def _layout_files(stage: Staging) -> dict[str, bytes]:
    # Both have the full name: images of one archive often have the same tag. containerd and docker load read the first,
    # podman and skopeo the second.
    entries = [
        {**manifest.descriptor.to_json(), "annotations": {CONTAINERD_NAME: name, REF_NAME: name}}
        for name, manifest in stage.named.items()
    ]
    # Without a name, as oras lists them.
    attached = [{**manifest.descriptor.to_json(), **manifest.listed_with} for manifest in stage.attached]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries + attached}
    return {OCI_LAYOUT: _json({"imageLayoutVersion": "1.0.0"}), INDEX_JSON: _json(index)}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def write_docker_archive(stage: Staging, out: Writable) -> None:
    """Write all images. A shared layer is written once. Layers are decompressed to the disk first, one at a time.

    Raises OSError; ArchiveError if docker cannot load an image, or a layer does not match its configuration.
    """
    archive = _DockerArchive(stage, TarWriter(out))
    for name, manifest in stage.named.items():
        archive.add(name, manifest)
    archive.finish()


@dataclass(slots=True)
class _DockerArchive:
    stage: Staging
    tar: TarWriter
    layers: set[Digest] = field(default_factory=set)  # written ones, by the digests of their plain tars
    images: dict[Digest, SavedImage] = field(default_factory=dict)  # by the configuration's digest

    def add(self, name: str, manifest: Manifest) -> None:
        """Write the parts of an image that have not been written yet."""
        config = manifest.config
        if config is None or config.media_type not in CONFIG_TYPES:
            what = "an index of several platforms" if config is None else f"an artifact ({config.media_type})"
            raise ArchiveError(self.stage.target, f"{name} is {what}, which docker load rejects: write it as OCI")
        layers = tuple(blob_name(layer.digest) for layer in manifest.layers)
        saved = read_config(self.stage.members, SavedImage(blob_name(config.digest), (), layers))
        for layer, diff_id in zip(layers, saved.diff_ids, strict=True):
            self._add_layer(layer, diff_id)
        file = f"{config.digest.hex}.json"
        before = self.images.get(config.digest)
        if before is None:
            self.tar.add(file, saved.content)
        # docker names images by tags only; an image requested by digest is loaded without a name.
        names = () if "@" in name else (name,)
        self.images[config.digest] = SavedImage(
            file, (before.names if before else ()) + names, tuple(f"{diff_id.hex}.tar" for diff_id in saved.diff_ids)
        )

    def finish(self) -> None:
        """Write the list of images and the end of the tar."""
        images = [
            {"Config": image.config, "RepoTags": image.names or None, "Layers": image.layers}
            for image in self.images.values()
        ]
        self.tar.add(MANIFEST_JSON, json.dumps(images, separators=(",", ":")).encode())
        self.tar.finish()

    def _add_layer(self, blob: str, diff_id: Digest) -> None:
        if diff_id in self.layers:
            return
        with self._decompressed(need(self.stage.members, blob, "its manifest"), diff_id) as plain:
            self.tar.copy(f"{diff_id.hex}.tar", plain)
        self.layers.add(diff_id)

    @contextmanager
    def _decompressed(self, member: Member, diff_id: Digest) -> Iterator[Member]:
        with TemporaryFile(dir=self.stage.folder) as file:
            file.writelines(PlainLayer(member).verified(diff_id))
            file.flush()
            yield Member(member.archive, member.name, file.tell(), 0, partial(os.dup, file.fileno()))
