"""Collects images for an archive in a hidden folder, as an image layout without its index.

Blobs arrive in any order and several at once, but a tar needs each one's size before its content.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from authproxy.images.archive.errors import ArchiveError
from authproxy.images.archive.free_space import FreeSpace
from authproxy.images.archive.layout import blob_name
from authproxy.images.archive.members import PIECE_BYTES, FolderMembers
from authproxy.images.archive.output import Target
from authproxy.oci.manifest import Descriptor, Manifest


class Staging:
    """A Destination for images. `target` is the path for errors.

    `named` are the images that were put with a name, in that order; `attached` are referrers for a layout to list.
    Everything else belongs to one of them.
    """

    def __init__(self, folder: Path, target: Path) -> None:
        self.folder = folder
        self.target = target
        self.members = FolderMembers(target, folder)
        self.named: dict[str, Manifest] = {}
        self.attached: list[Manifest] = []

    async def has(self, descriptor: Descriptor) -> bool:
        """Whether this blob has been put."""
        return (self.folder / blob_name(descriptor.digest)).exists()

    async def put_blob(self, descriptor: Descriptor, chunks: AsyncIterator[bytes], start: int = 0) -> None:
        """Store a blob; the caller verifies its digest. If `chunks` raises, nothing is kept. Raises ArchiveError."""
        assert not start, "nothing is kept of an interrupted blob"
        unnamed = self.folder / f"incoming-{os.urandom(8).hex()}"
        try:
            await self._write(unnamed, chunks)
            self._place(unnamed, descriptor)
        except BaseException:
            unnamed.unlink(missing_ok=True)
            raise

    async def put_manifest(self, manifest: Manifest, reference: str | None) -> None:
        """Store a manifest, and the image's full name, if it has one. Raises ArchiveError."""

        async def content() -> AsyncIterator[bytes]:
            yield manifest.content

        await self.put_blob(Descriptor(manifest.media_type, manifest.digest, len(manifest.content)), content())
        if reference is not None:
            self.named[reference] = manifest

    async def _write(self, file: Path, chunks: AsyncIterator[bytes]) -> None:
        held: list[bytes] = []
        held_bytes = 0
        free_space = FreeSpace(self.folder)
        with self._as_archive_error():
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            async for chunk in chunks:
                held.append(chunk)
                held_bytes += len(chunk)
                if held_bytes >= PIECE_BYTES:
                    await asyncio.to_thread(self._append, handle, held, free_space)
                    held, held_bytes = [], 0
            await asyncio.to_thread(self._append, handle, held, free_space)
        finally:
            os.close(handle)

    def _append(self, handle: int, held: list[bytes], free_space: FreeSpace) -> None:
        with self._as_archive_error():
            rest = memoryview(b"".join(held))
            free_space.take(len(rest))
            while rest:
                rest = rest[os.write(handle, rest) :]

    def _place(self, unnamed: Path, descriptor: Descriptor) -> None:
        with self._as_archive_error():
            file = self.folder / blob_name(descriptor.digest)
            file.parent.mkdir(parents=True, exist_ok=True)
            unnamed.rename(file)

    @contextmanager
    def _as_archive_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ArchiveError(self.target, f"cannot be written: {error.strerror}") from error


@contextmanager
def open_staging(target: Target) -> Iterator[Staging]:
    """A staging folder for the length of a block; `write_archive` writes what it holds.

    The folder is beside the target, on the same disk, and is removed at the end of the block. Raises ArchiveError.
    """
    path = target.path or Path(str(target))
    beside = Path(tempfile.gettempdir()) if target.path is None else target.path.absolute().parent
    _refuse_filled_folder(target)
    try:
        folder = Path(tempfile.mkdtemp(dir=beside, prefix=".authproxy-"))
    except OSError as error:
        raise ArchiveError(path, f"cannot be written in {beside}: {error.strerror}") from error
    try:
        yield Staging(folder, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _refuse_filled_folder(target: Target) -> None:
    path = target.path
    if path is None:
        return
    if target.is_folder and path.is_dir() and any(path.iterdir()):
        raise ArchiveError(path, "is a folder that is not empty: choose a new one")
    if target.is_folder and path.exists() and not path.is_dir():
        raise ArchiveError(path, "is a file, but the output is a folder")
