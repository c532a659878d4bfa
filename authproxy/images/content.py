"""Where images come from and go to: a registry's repository, an archive, memory. Whoever moves one knows only this."""

from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

from authproxy.digest import Digest
from authproxy.images.model import Descriptor, Manifest


class Missing(Exception):
    """A source has no such manifest or blob: one sentence."""


class Interrupted(Exception):
    """What was begun broke off, by no fault of its own, and may be tried again from its beginning: one sentence."""


class Source(Protocol):
    """Content that can be read. Manifests come with the digest compared; blobs are for the reader to compare."""

    async def manifest(self, reference: str | Digest) -> Manifest:
        """A manifest by its digest, or by what this source calls it: a registry by a tag. Raises Missing."""

    def blob(self, descriptor: Descriptor, start: int = 0) -> AsyncIterator[bytes]:
        """A blob's bytes from `start` on. Raises Missing with the first of them."""


class Destination(Protocol):
    """Content that can be written. Everything may be put twice."""

    async def has(self, descriptor: Descriptor) -> bool:
        """Whether this blob or manifest is there."""

    async def put_blob(self, descriptor: Descriptor, chunks: AsyncIterator[bytes]) -> None:
        """Take a blob; there on return. Where `chunks` raises, nothing of it is kept.

        Raises Interrupted.
        """

    async def put_manifest(self, manifest: Manifest, reference: str | None) -> None:
        """Take a manifest whose blobs and children are there, and under a name where it gets one."""


@runtime_checkable
class Mounts(Protocol):
    """A destination that can take a blob from a neighbour of its own without moving it."""

    async def mount_from(self, descriptor: Descriptor, repository: str) -> bool:
        """Have the blob that `repository` holds. False where that was not granted: then it has to be put."""
