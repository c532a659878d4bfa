"""Repositories written straight into a storage folder, in the layout of CNCF Distribution, before a server starts.

Pushing 100,000 tags would take minutes. A tag's history is left out: nothing reads it.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from authproxy.digest import Digest
from authproxy.reference import Repository, Tag
from authproxy.storage import layout
from benchmarks.content import SMALL_BYTES, image_manifest


@dataclass(frozen=True, slots=True)
class SmallImage:
    """An image whose only blob, config and layer in one, has SMALL_BYTES."""

    blob: bytes
    manifest: bytes

    @classmethod
    def create(cls) -> "SmallImage":
        """A new one."""
        blob = os.urandom(SMALL_BYTES)
        digest = Digest.of(blob)
        return cls(blob, image_manifest(digest, digest, len(blob)))


def seed(root: Path, repository: str, image: SmallImage, tags: int) -> None:
    """Write a repository below a storage's root with an image under this many tags, from `tag_name(0)` on."""
    name = Repository(repository)
    blob, manifest = Digest.of(image.blob), Digest.of(image.manifest)
    for digest, content in ((blob, image.blob), (manifest, image.manifest)):
        _write(root / layout.blob(digest), content)
    _write(root / layout.layer_link(name, blob), str(blob).encode())
    link = str(manifest).encode()
    _write(root / layout.revision_link(name, manifest), link)
    for number in range(tags):
        _write(root / layout.tag_current(name, tag_name(number)), link)


def tag_name(number: int) -> Tag:
    """The tag with this number. Tags sort as their numbers do."""
    return Tag(f"v{number:06}")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
