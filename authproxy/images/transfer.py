"""One image from a source to a destination: push, pull and copy are this with different ends."""

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

# Blobs at the same time. A registry's disk and the line are busy with fewer; small layers wait for answers.
JOBS = 4

# Indexes in an index: BuildKit writes none, and other tools one.
MAX_DEPTH = 8

# Manifests of one image that are held at once: registries take 4 MiB for each, and most have a few KB.
MAX_MANIFEST_BYTES = 256 << 20

# A blob is sent so often without getting further before it is given up, with a pause that doubles.
ATTEMPTS = 5
FIRST_PAUSE_S = 0.5

# How far apart the places are from which a blob that broke off can be read again.
MARK_BYTES = 16 << 20

Sleep: TypeAlias = Callable[[float], Awaitable[None]]


class TransferError(Exception):
    """An image that cannot be moved as it is: one sentence."""


class BlobOutcome(StrEnum):
    """What became of a blob."""

    MOVED = "moved"
    THERE = "already there"
    MOUNTED = "mounted"


class Progress(Protocol):
    """Who is told while an image moves. Called on the event loop; returns at once."""

    def begin(self, blob: Descriptor) -> None:
        """A blob's turn has come, perhaps again from its beginning."""

    def advance(self, blob: Descriptor, count: int) -> None:
        """So many more bytes of it have been handed on."""

    def end(self, blob: Descriptor, outcome: BlobOutcome) -> None:
        """It is at the destination."""


class NoProgress:
    """Tells nobody."""

    def begin(self, blob: Descriptor) -> None:
        """See Progress."""

    def advance(self, blob: Descriptor, count: int) -> None:
        """See Progress."""

    def end(self, blob: Descriptor, outcome: BlobOutcome) -> None:
        """See Progress."""


@dataclass(frozen=True, slots=True)
class TransferResult:
    """What has been done: the manifest that got the name, and each blob with what became of it."""

    manifest: Manifest
    blobs: dict[Descriptor, BlobOutcome]
    manifests: tuple[Manifest, ...] = ()  # it and its children

    @property
    def moved_bytes(self) -> int:
        """Bytes of the blobs that went from the one to the other."""
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
    """Move a manifest and all that it needs, and give it a name there.

    Every blob comes before the manifests, and a child before its index, so that a destination never holds a name whose
    content is not there; what is there already is not moved, so one that was broken off goes on where it was.
    `turns` bounds the blobs that move at once, JOBS without it. Raises TransferError, and what the source and the
    destination raise: the first fault ends the rest.
    """
    manifests = await collect_manifests(source, manifest)
    blobs = {blob.digest: blob for one in manifests for blob in one.blobs if not blob.is_elsewhere}
    mover = _BlobTransfer(source, destination, turns or asyncio.Semaphore(JOBS), progress or NoProgress(), sleep)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {blob: group.create_task(mover.move(blob)) for blob in blobs.values()}
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
    """All manifests that belong to one, each once, children first. Raises TransferError, and what the source raises."""
    found: dict[Digest, Manifest] = {}
    held_bytes = 0

    async def visit(manifest: Manifest, depth: int) -> None:
        nonlocal held_bytes
        held_bytes += len(manifest.content)
        if depth > MAX_DEPTH:
            raise TransferError(f"index {root.digest} has indexes in indexes, more than {MAX_DEPTH} deep")
        if held_bytes > MAX_MANIFEST_BYTES:
            raise TransferError(f"index {root.digest} has manifests of more than {MAX_MANIFEST_BYTES >> 20} MiB in all")
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

    async def move(self, blob: Descriptor) -> BlobOutcome:
        async with self._lock(blob), self.turns:
            self.progress.begin(blob)
            outcome = await self._move(blob)
            self.progress.end(blob, outcome)
            return outcome

    def _lock(self, blob: Descriptor) -> AbstractAsyncContextManager[None]:
        return (
            self.destination.lock(blob.digest) if isinstance(self.destination, MountingDestination) else nullcontext()
        )

    async def _move(self, blob: Descriptor) -> BlobOutcome:
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
                if await self.destination.has(blob):  # what was lost may have been the answer alone
                    return BlobOutcome.MOVED
            else:
                return BlobOutcome.MOVED


@dataclass(slots=True)
class _VerifiedBlob:
    """A blob's bytes, compared with its digest though they may be read in several attempts."""

    source: Source
    blob: Descriptor
    progress: Progress
    marks: deque[tuple[int, Hasher]] = field(default_factory=deque)  # places that were passed, and the digest so far

    async def read(self, start: int) -> AsyncIterator[bytes]:
        """The bytes from `start` on, which is 0 or was read before. TransferError if size or digest differ."""
        blob = self.blob
        at, hasher = self._before(start)
        self.progress.advance(blob, at)
        async for piece in self.source.blob(blob, at):
            passed = at + len(piece)
            if passed > blob.size:
                raise TransferError(f"blob {blob.digest} has more than the {blob.size} bytes that its manifest says")
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
                f"blob {blob.digest} came as {at} bytes with the digest {actual}; nothing of it is kept"
            )

    def _before(self, start: int) -> tuple[int, Hasher]:
        while self.marks and self.marks[-1][0] > start:
            self.marks.pop()
        if not self.marks:
            return 0, new_hasher(self.blob.digest.algorithm)
        at, hasher = self.marks[-1]
        return at, hasher.copy()
