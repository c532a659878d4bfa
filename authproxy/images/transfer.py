"""Transfers one image from a source to a destination: push, pull and copy differ only in these."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias

from authproxy.digest import Digest, Hasher, new_hasher
from authproxy.images.endpoints import Destination, Interrupted, MountingDestination, Source
from authproxy.oci.manifest import Descriptor, Manifest, Platform

# Concurrent blobs. Fewer already keep disk and network busy with large layers; small ones mostly wait for responses.
JOBS = 4

# Nested indexes: BuildKit writes none, other tools one level.
MAX_DEPTH = 8

# Manifests of one image in memory: registries accept 4 MiB for each; most have a few KB.
MAX_MANIFEST_BYTES = 256 << 20

# Attempts to send a blob without progress; the pause between them doubles.
ATTEMPTS = 5
FIRST_PAUSE_S = 0.5

# Distance between the offsets from which an interrupted blob can be read again.
MARK_BYTES = 16 << 20

Sleep: TypeAlias = Callable[[float], Awaitable[None]]


class TransferError(Exception):
    """An image cannot be transferred: one sentence."""


class BlobOutcome(StrEnum):
    """The result for a blob."""

    MOVED = "moved"
    THERE = "already there"
    MOUNTED = "mounted"


class Progress(Protocol):
    """Receives the progress of a transfer. Called on the event loop; must return at once."""

    def begin(self, blob: Descriptor) -> None:
        """The transfer of a blob starts, or starts again."""

    def advance(self, blob: Descriptor, count: int) -> None:
        """`count` more bytes were read."""

    def end(self, blob: Descriptor, outcome: BlobOutcome) -> None:
        """The destination has the blob."""


class NoProgress:
    """Ignores all progress."""

    def begin(self, blob: Descriptor) -> None:
        """See Progress."""

    def advance(self, blob: Descriptor, count: int) -> None:
        """See Progress."""

    def end(self, blob: Descriptor, outcome: BlobOutcome) -> None:
        """See Progress."""


@dataclass(frozen=True, slots=True)
class TransferResult:
    """The manifest that got the name, and the outcome of each blob."""

    manifest: Manifest
    blobs: dict[Descriptor, BlobOutcome]
    manifests: tuple[Manifest, ...] = ()  # the manifest and its children

    @property
    def moved_bytes(self) -> int:
        """Bytes of the transferred blobs."""
        return sum(blob.size for blob, outcome in self.blobs.items() if outcome is BlobOutcome.MOVED)


async def transfer_image(
    source: Source,
    destination: Destination,
    manifest: Manifest,
    name: str | None,
    *,
    turns: asyncio.Semaphore | None = None,
    progress: Progress | None = None,
    sleep: Sleep = asyncio.sleep,
) -> TransferResult:
    """Transfer a manifest with its children and blobs, and name it `name` at the destination.

    Blobs go before manifests, and children before their index, so that a destination never has a name whose content is
    missing. Skips what the destination has, so an interrupted transfer can be continued. `turns` limits concurrent
    blobs (default: JOBS). Raises TransferError, and what the source and the destination raise: the first error cancels
    the rest.
    """
    manifests = await collect_manifests(source, manifest)
    blobs = {blob.digest: blob for one in manifests for blob in one.blobs if not blob.is_elsewhere}
    transfer = _BlobTransfer(source, destination, turns or asyncio.Semaphore(JOBS), progress or NoProgress(), sleep)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {blob: group.create_task(transfer.run(blob)) for blob in blobs.values()}
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    for one in manifests:
        await destination.put_manifest(one, name if one is manifest else None)
    return TransferResult(manifest, {blob: task.result() for blob, task in tasks.items()}, tuple(manifests))


async def choose_platform(source: Source, manifest: Manifest, platform: Platform) -> Manifest:
    """The image for one platform: the child of an index, or the image itself. Raises TransferError, Missing."""
    if not manifest.is_index:
        return manifest
    for child in manifest.children:
        if child.platform is not None and platform.is_met_by(child.platform):
            return await source.manifest(child.digest)
    there = ", ".join(sorted({str(child.platform) for child in manifest.children if child.platform is not None}))
    raise TransferError(f"it has no image for {platform}; it has {there or 'none that names its platform'}")


async def collect_manifests(source: Source, root: Manifest) -> list[Manifest]:
    """A manifest and its descendants, each once, children first. Raises TransferError, and what the source raises."""
    found: dict[Digest, Manifest] = {}
    held_bytes = 0

    async def visit(manifest: Manifest, depth: int) -> None:
        nonlocal held_bytes
        held_bytes += len(manifest.content)
        if depth > MAX_DEPTH:
            raise TransferError(f"index {root.digest} has nested indexes, more than {MAX_DEPTH} levels deep")
        if held_bytes > MAX_MANIFEST_BYTES:
            raise TransferError(f"index {root.digest} has more than {MAX_MANIFEST_BYTES >> 20} MiB of manifests")
        for child in manifest.children:
            if child.digest not in found:
                await visit(await source.manifest(child.digest), depth + 1)
        found[manifest.digest] = manifest

    await visit(root, 0)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class _BlobTransfer:
    source: Source
    destination: Destination
    turns: asyncio.Semaphore
    progress: Progress
    sleep: Sleep

    async def run(self, blob: Descriptor) -> BlobOutcome:
        async with self._lock(blob), self.turns:
            self.progress.begin(blob)
            outcome = await self._run(blob)
            self.progress.end(blob, outcome)
            return outcome

    def _lock(self, blob: Descriptor) -> AbstractAsyncContextManager[None]:
        return (
            self.destination.lock(blob.digest) if isinstance(self.destination, MountingDestination) else nullcontext()
        )

    async def _run(self, blob: Descriptor) -> BlobOutcome:
        if await self.destination.has(blob):
            return BlobOutcome.THERE
        if isinstance(self.destination, MountingDestination) and await self.destination.mount(blob):
            return BlobOutcome.MOUNTED
        checked = _VerifiedBlob(self.source, blob, self.progress)
        start = attempt = 0
        while True:
            try:
                await self.destination.put_blob(blob, checked.read(start), start)
            except Interrupted as error:
                attempt = 1 if error.kept > start else attempt + 1
                if attempt == ATTEMPTS:
                    raise
                start = error.kept
                await self.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
                self.progress.begin(blob)
                if await self.destination.has(blob):  # perhaps only the response was lost
                    return BlobOutcome.MOVED
            else:
                return BlobOutcome.MOVED


@dataclass(slots=True)
class _VerifiedBlob:
    """A blob's bytes, verified against its digest, even if they are read in several attempts."""

    source: Source
    blob: Descriptor
    progress: Progress
    marks: deque[tuple[int, Hasher]] = field(default_factory=deque)  # offsets, and the digest up to each

    async def read(self, start: int) -> AsyncIterator[bytes]:
        """The bytes from `start` on, which is 0 or was read before. TransferError if size or digest differ."""
        blob = self.blob
        at, hasher = self._before(start)
        self.progress.advance(blob, at)
        async for piece in self.source.blob(blob, at):
            passed = at + len(piece)
            if passed > blob.size:
                raise TransferError(f"blob {blob.digest} has more than the {blob.size} bytes in its manifest")
            hasher.update(piece)
            self.progress.advance(blob, len(piece))
            if passed > start:
                yield piece[start - at :] if at < start else piece
            at = passed
            if at - (self.marks[-1][0] if self.marks else 0) >= MARK_BYTES:
                self.marks.append((at, hasher.copy()))
        actual = Digest(blob.digest.algorithm, hasher.hexdigest())
        if at != blob.size or actual != blob.digest:
            raise TransferError(
                f"blob {blob.digest} was received as {at} bytes with the digest {actual}; it was discarded"
            )

    def _before(self, start: int) -> tuple[int, Hasher]:
        while self.marks and self.marks[-1][0] > start:
            self.marks.pop()
        if not self.marks:
            return 0, new_hasher(self.blob.digest.algorithm)
        at, hasher = self.marks[-1]
        return at, hasher.copy()
