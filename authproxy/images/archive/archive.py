"""The interface of an open archive, whatever its format."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from authproxy.digest import Digest
from authproxy.images.endpoints import Source


@dataclass(frozen=True, slots=True)
class ArchivedImage:
    """One image of an archive.

    `names` are image names with a repository and a tag, as in the archive: `app:v1`, `docker.io/library/app:v1`.
    `tags` are tags without a repository, as many image layouts have them. Both may be empty.
    `reference` is the argument for the archive's `manifest`. `identity` is known before any layer is read: the digest
    of the manifest, or of the configuration for an archive of `docker save`, which has no manifest.
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
        """All images, in the archive's order."""

    def close(self) -> None:
        """Close open files and remove temporary ones."""
