"""What was gathered, as an archive that every `docker load` takes: `manifest.json`, configurations, plain layers."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from tempfile import TemporaryFile

from authproxy.digest import Digest, new_hasher
from authproxy.images.archive.docker_manifest import MANIFEST_JSON, SavedImage, read_config
from authproxy.images.archive.errors import ArchiveError
from authproxy.images.archive.layer_tar import PlainLayer
from authproxy.images.archive.layout import blob_name
from authproxy.images.archive.members import Member, need
from authproxy.images.archive.staging import Staging
from authproxy.images.archive.tar_writing import TarWriter, Writable
from authproxy.oci.manifest import Manifest
from authproxy.oci.media_types import DOCKER_CONFIG, OCI_CONFIG

# What docker takes as the configuration of an image; anything else is an artifact, which it cannot load.
CONFIG_TYPES = frozenset({DOCKER_CONFIG, OCI_CONFIG})


def write_docker_archive(stage: Staging, out: Writable) -> None:
    """Write all images. A layer that several share is written once, and unpacked on the disk first, one at a time.

    Raises OSError; ArchiveError where an image is none that docker runs, or a layer is not what its configuration says.
    """
    archive = _DockerArchive(stage, TarWriter(out))
    for name, manifest in stage.named.items():
        archive.add(name, manifest)
    archive.finish()


@dataclass(slots=True)
class _DockerArchive:
    stage: Staging
    tar: TarWriter
    layers: set[Digest] = field(default_factory=set)  # that were written, by the digests of their plain tars
    images: dict[Digest, SavedImage] = field(default_factory=dict)  # by the configuration's digest

    def add(self, name: str, manifest: Manifest) -> None:
        """Write what of an image has not been written yet."""
        config = manifest.config
        if config is None or config.media_type not in CONFIG_TYPES:
            what = "an index of several platforms" if config is None else f"an artifact ({config.media_type})"
            raise ArchiveError(self.stage.target, f"{name} is {what}, which docker load does not take: write it as OCI")
        layers = tuple(blob_name(layer.digest) for layer in manifest.layers)
        saved = read_config(self.stage.members, SavedImage(blob_name(config.digest), (), layers))
        for layer, diff_id in zip(layers, saved.diff_ids, strict=True):
            self._add_layer(layer, diff_id)
        file = f"{config.digest.hex}.json"
        before = self.images.get(config.digest)
        if before is None:
            self.tar.add(file, saved.content)
        # docker gives names by tags alone; what was asked for by its digest is loaded without a name.
        names = () if "@" in name else (name,)
        self.images[config.digest] = SavedImage(
            file, (before.names if before else ()) + names, tuple(f"{diff_id.hex}.tar" for diff_id in saved.diff_ids)
        )

    def finish(self) -> None:
        """Write the list of images, and the end."""
        images = [
            {"Config": image.config, "RepoTags": image.names or None, "Layers": image.layers}
            for image in self.images.values()
        ]
        self.tar.add(MANIFEST_JSON, json.dumps(images, separators=(",", ":")).encode())
        self.tar.finish()

    def _add_layer(self, blob: str, diff_id: Digest) -> None:
        if diff_id in self.layers:
            return
        with self._unpacked(need(self.stage.members, blob, "its manifest"), diff_id) as plain:
            self.tar.copy(f"{diff_id.hex}.tar", plain)
        self.layers.add(diff_id)

    @contextmanager
    def _unpacked(self, member: Member, diff_id: Digest) -> Iterator[Member]:
        layer = PlainLayer(member)
        hasher = new_hasher(diff_id.algorithm)
        with TemporaryFile(dir=self.stage.folder) as file:
            for piece in layer.pieces():
                hasher.update(piece)
                file.write(piece)
            file.flush()
            layer.require(Digest(diff_id.algorithm, hasher.hexdigest()), diff_id)
            yield Member(member.archive, member.name, file.tell(), 0, partial(os.dup, file.fileno()))
