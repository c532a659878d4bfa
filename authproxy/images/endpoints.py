"""Where images come from and go to: a registry's repository, an archive, memory. Whoever moves one knows only this."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

from authproxy.digest import Digest
from authproxy.oci.manifest import Descriptor, Manifest


class Missing(Exception):
    """A source has no such manifest or blob: one sentence."""


class Interrupted(Exception):
    """What was begun broke off, by no fault of its own, and may be tried again: one sentence.

    `kept` bytes are at the destination, which takes the rest from there on.
    """

    def __init__(self, sentence: str, kept: int = 0) -> None:
        super().__init__(sentence)
        self.kept = kept


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

    async def put_blob(self, descriptor: Descriptor, chunks: AsyncIterator[bytes], start: int = 0) -> None:
        """Take a blob, or its bytes from `start` on, as Interrupted said; there on return.

        Where `chunks` raises, it is not there. Raises Interrupted.
        """

    async def put_manifest(self, manifest: Manifest, reference: str | None) -> None:
        """Take a manifest whose blobs and children are there, and under a name where it gets one."""


@runtime_checkable
class MountingDestination(Protocol):
    """A destination that can take a blob from a neighbour of its own without moving it."""

    def lock(self, digest: Digest) -> asyncio.Lock:
        """Held from the look for a blob until it is there: what several images share is moved for the first of them."""

    async def mount(self, descriptor: Descriptor) -> bool:
        """Have the blob that a neighbour holds. False where none does, or hands it out: then it has to be put."""
