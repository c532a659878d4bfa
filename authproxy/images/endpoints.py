"""The interfaces of a transfer: sources and destinations, such as a repository, an archive, memory."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

from authproxy.digest import Digest
from authproxy.oci.manifest import Descriptor, Manifest


class Missing(Exception):
    """A source does not have a manifest or blob: one sentence."""


class Interrupted(Exception):
    """A transfer was interrupted, and may be tried again: one sentence.

    The destination has kept `kept` bytes, and accepts the rest from there on.
    """

    def __init__(self, sentence: str, kept: int = 0) -> None:
        super().__init__(sentence)
        self.kept = kept


class Source(Protocol):
    """Content that can be read. Verifies the digests of manifests; the reader verifies those of blobs."""

    async def manifest(self, reference: str | Digest) -> Manifest:
        """A manifest by its digest, or by the source's own name: in a registry, a tag. Raises Missing."""

    def blob(self, descriptor: Descriptor, start: int = 0) -> AsyncIterator[bytes]:
        """A blob's bytes from `start` on. Raises Missing at the first read."""


class Destination(Protocol):
    """Content that can be written. Every put may be repeated."""

    async def has(self, descriptor: Descriptor) -> bool:
        """Whether the destination has this blob or manifest."""

    async def put_blob(self, descriptor: Descriptor, chunks: AsyncIterator[bytes], start: int = 0) -> None:
        """Store a blob, or its bytes from `start` on, after an Interrupted. Complete on return.

        If `chunks` raises, the blob is not stored. Raises Interrupted.
        """

    async def put_manifest(self, manifest: Manifest, reference: str | None) -> None:
        """Store a manifest whose blobs and children exist, under a name if `reference` is given."""


@runtime_checkable
class MountingDestination(Protocol):
    """A destination that can mount a blob from another repository without a transfer."""

    def lock(self, digest: Digest) -> asyncio.Lock:
        """Held from the check for a blob until it is stored: a blob that several images share is transferred once."""

    async def mount(self, descriptor: Descriptor) -> bool:
        """Mount a blob from another repository. False if that is not possible: then it must be put."""
