"""What every archive offers, however it is written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from authproxy.digest import Digest
from authproxy.images.endpoints import Source


@dataclass(frozen=True, slots=True)
class ArchivedImage:
    """One image of an archive.

    `names` are image names with a repository and a tag, as the archive has them: `app:v1`, `docker.io/library/app:v1`.
    `tags` are tags that the archive gives without a repository, as many image layouts do. Both may be empty.
    `reference` is what the archive's `manifest` takes. `identity` is known before any layer is read: the digest of the
    configuration for an archive of `docker save`, which has no manifest, and of the manifest for others.
    """

    reference: str | Digest
    names: tuple[str, ...]
    tags: tuple[str, ...]
    identity: Digest


class Archive(Source, Protocol):
    """An open archive: a source of its images. Every method raises ArchiveError."""

    @property
    def path(self) -> Path:
        """The file or folder."""

    @property
    def images(self) -> tuple[ArchivedImage, ...]:
        """What it holds, in its own order."""

    def close(self) -> None:
        """Let go of open files, and remove what was made on the way."""
