"""An archive of `docker save` as a source of images.

It holds configurations and plain layers, but no manifests. A manifest is made as `docker push` makes it: Docker's
schema 2 with layers compressed with gzip. `manifest.json` lists the images:

[{"Config": "<hex>.json", "RepoTags": ["app:v1"], "Layers": ["<id>/layer.tar", …]}, …]
Source: moby, image/spec, "Combined Image JSON + Filesystem Changeset Format" 1.2.
"""

import asyncio
import json
import os
import posixpath
import re
from collections.abc import AsyncIterator, Iterable, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from authproxy.digest import Digest, parse_digest
from authproxy.errors import DigestInvalid
from authproxy.images.archive.archive import ArchivedImage
from authproxy.images.archive.layers import compress_layer, is_gzip
from authproxy.images.archive.members import MAX_JSON_BYTES, Member, Members, need
from authproxy.images.endpoints import Missing
from authproxy.oci.manifest import Descriptor, Manifest
from authproxy.oci.media_types import DOCKER_CONFIG, DOCKER_IMAGE, DOCKER_TAR_GZIP

MANIFEST_JSON = "manifest.json"

# Compressed layers by the digest of their plain tar. All archives of a command share one, so that a shared layer is
# compressed once.
LayerCache = MutableMapping[Digest, Descriptor]

_PlainLayer = tuple[str, Digest]  # a member's name, and the digest that it must have

_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class SavedImage:
    """One entry: the members of the archive that it lists, and the image's names, which may be empty."""

    config: str
    names: tuple[str, ...]
    layers: tuple[str, ...]


def read_manifest_json(members: Members) -> tuple[SavedImage, ...]:
    """The images in order. Raises ArchiveError if manifest.json is missing or malformed."""
    member = need(members, MANIFEST_JSON, "the format of docker save")
    entries = member.read_json()
    if not isinstance(entries, list):
        raise member.fault("is not a list of images")
    return tuple(_saved(entry, number, member) for number, entry in enumerate(entries, start=1))


def _saved(entry: Any, number: int, member: Member) -> SavedImage:
    if not isinstance(entry, dict):
        raise member.fault(f"entry {number} is not an image")
    config, names, layers = entry.get("Config"), entry.get("RepoTags") or [], entry.get("Layers") or []
    if not isinstance(config, str) or not config or not _is_texts(names) or not _is_texts(layers):
        raise member.fault(f"entry {number} does not have Config, RepoTags and Layers as docker save writes them")
    return SavedImage(config, tuple(dict.fromkeys(names)), tuple(layers))


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


@dataclass(frozen=True, slots=True)
class SavedConfig:
    """The configuration of an image, and the digests that its layers' plain tars must have, the lowest layer first."""

    content: bytes
    digest: Digest
    diff_ids: tuple[Digest, ...]


def read_config(members: Members, image: SavedImage) -> SavedConfig:
    """The configuration of one image. Raises ArchiveError if it does not match its name or its layers."""
    member = need(members, image.config, MANIFEST_JSON)
    content = member.read(MAX_JSON_BYTES)
    digest = Digest.of(content)
    stem = posixpath.basename(image.config).removesuffix(".json")
    if _HEX.fullmatch(stem) and stem != digest.hex:
        raise member.fault(f"has the digest {digest}, not the one in its name")
    diff_ids = _diff_ids(member)
    if len(diff_ids) != len(image.layers):
        listed = len(image.layers)
        raise member.fault(f"has {len(diff_ids)} layers in rootfs.diff_ids, but {MANIFEST_JSON} has {listed}")
    return SavedConfig(content, digest, diff_ids)


def _diff_ids(member: Member) -> tuple[Digest, ...]:
    config = member.read_json()
    rootfs = config.get("rootfs") if isinstance(config, dict) else None
    texts = rootfs.get("diff_ids") or [] if isinstance(rootfs, dict) else None
    if not _is_texts(texts):
        raise member.fault("has no list rootfs.diff_ids: it is not the configuration of an image")
    try:
        return tuple(parse_digest(text) for text in texts or ())
    except DigestInvalid as error:
        raise member.fault("has an entry in rootfs.diff_ids that is not a digest") from error


class DockerArchive:
    """The images of `manifest.json`.

    Compressed layers stay in a folder below `TMPDIR` until the archive is closed, and are as large there as in the
    registry.
    """

    def __init__(self, members: Members, known: LayerCache) -> None:
        self._members = members
        self._known = known
        self._saved = {
            image.config: (image, read_config(members, image)) for image in _merged(read_manifest_json(members))
        }
        self.images = tuple(
            ArchivedImage(image.config, image.names, (), config.digest) for image, config in self._saved.values()
        )
        # After a cancellation a thread may still write there.
        self._spool = TemporaryDirectory(prefix="authproxy-", ignore_cleanup_errors=True)
        self._files: dict[Digest, Member] = {}  # blobs by their digests
        self._layers: dict[Digest, tuple[str, Digest]] = {}  # blobs to their sources: the plain layer and its digest
        self._turns = asyncio.Semaphore(os.cpu_count() or 1)

    @property
    def path(self) -> Path:
        """See Archive."""
        return self._members.path

    async def manifest(self, reference: str | Digest) -> Manifest:
        """Make the manifest of an image, given the name of its configuration; compresses the image's layers.

        Raises Missing, ArchiveError.
        """
        saved = self._saved.get(str(reference))
        if saved is None:
            raise Missing(f"{self.path}: no image has the configuration {reference}")
        image, config = saved
        plain = list(zip(image.layers, config.diff_ids, strict=True))
        compressed = await self._compress_all(dict.fromkeys(plain))
        self._files[config.digest] = need(self._members, image.config, MANIFEST_JSON)
        content = _manifest(config, [compressed[layer] for layer in plain])
        return Manifest.read(content, DOCKER_IMAGE, Digest.of(content))

    async def blob(self, descriptor: Descriptor, start: int = 0) -> AsyncIterator[bytes]:
        """A blob of a manifest that `manifest` made. Raises ArchiveError, Missing."""
        member = self._files.get(descriptor.digest)
        if member is None:
            if descriptor.digest not in self._layers:
                raise Missing(f"{self.path}: none of its manifests names {descriptor.digest}")
            name, diff_id = self._layers[descriptor.digest]
            await self._compress(name, diff_id)
            member = self._files[descriptor.digest]
        async for piece in member.stream(start):
            yield piece

    def close(self) -> None:
        """See Archive."""
        self._members.close()
        self._spool.cleanup()

    async def _compress_all(self, layers: Iterable[_PlainLayer]) -> dict[_PlainLayer, Descriptor]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {layer: group.create_task(self._layer(*layer)) for layer in layers}
        except BaseExceptionGroup as errors:  # one is enough to report
            raise errors.exceptions[0] from None
        return {layer: task.result() for layer, task in tasks.items()}

    async def _layer(self, name: str, diff_id: Digest) -> Descriptor:
        member = need(self._members, name, MANIFEST_JSON)
        if is_gzip(member):
            compressed = await self._compress(name, diff_id)
        else:
            compressed = self._known.get(diff_id) or await self._compress(name, diff_id)
            self._known[diff_id] = compressed
        self._layers[compressed.digest] = name, diff_id
        return compressed

    async def _compress(self, name: str, diff_id: Digest) -> Descriptor:
        member = need(self._members, name, MANIFEST_JSON)
        async with self._turns:
            compressed = await asyncio.to_thread(compress_layer, member, diff_id, Path(self._spool.name))
        self._files[compressed.digest] = compressed.file
        return Descriptor(DOCKER_TAR_GZIP, compressed.digest, compressed.size)


def _merged(images: tuple[SavedImage, ...]) -> tuple[SavedImage, ...]:
    """The images with each configuration once, under all its names."""
    merged: dict[str, SavedImage] = {}
    for image in images:
        before = merged.get(image.config, replace(image, names=()))
        merged[image.config] = replace(image, names=tuple(dict.fromkeys((*before.names, *image.names))))
    return tuple(merged.values())


def _manifest(config: SavedConfig, layers: Iterable[Descriptor]) -> bytes:
    """Docker's image manifest, schema 2: always the same bytes for the same image."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER_IMAGE,
        "config": _descriptor(Descriptor(DOCKER_CONFIG, config.digest, len(config.content))),
        "layers": [_descriptor(layer) for layer in layers],
    }
    return json.dumps(manifest, separators=(",", ":")).encode()


def _descriptor(descriptor: Descriptor) -> dict[str, str | int]:
    return {"mediaType": descriptor.media_type, "size": descriptor.size, "digest": str(descriptor.digest)}
