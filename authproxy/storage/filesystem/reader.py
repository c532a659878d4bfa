"""Read a file: a small one whole; any other in pieces, from memory on the event loop, from the disk in a thread."""

import errno
import os
import stat
from collections.abc import AsyncIterator
from functools import partial

from authproxy.storage.driver import MAX_SMALL_BYTES, PIECE_BYTES, NotFound
from authproxy.storage.filesystem.thread_pool import ThreadPool


class FileReader:
    """An open file. A piece that is in memory is read at once; any other in a thread."""

    def __init__(self, descriptor: int, size: int, workers: ThreadPool) -> None:
        self.size = size
        self._descriptor = descriptor
        self._workers = workers

    async def pieces(self, first: int, length: int) -> AsyncIterator[bytearray]:
        """See `driver.Reader`."""
        for offset in range(first, first + length, PIECE_BYTES):
            # A new buffer for each piece: its sender may have to keep it for a while.
            piece = bytearray(min(PIECE_BYTES, first + length - offset))
            taken = self._read_at_once(piece, offset)
            if taken < len(piece):  # the rest is on the disk
                await self._workers.run(
                    partial(_read_rest, self._descriptor, memoryview(piece)[taken:], offset + taken)
                )
            yield piece

    def _read_at_once(self, piece: bytearray, offset: int) -> int:
        """Read without waiting for the disk. Returns how many bytes were read."""
        try:
            return os.preadv(self._descriptor, [piece], offset, os.RWF_NOWAIT)
        except OSError:  # EAGAIN: not in memory; EOPNOTSUPP: no RWF_NOWAIT here. The thread gets any other error again
            return 0


def open_file(path: str) -> int:
    """A descriptor to read from. Blocks. Raises NotFound."""
    try:
        # O_NONBLOCK: a named pipe in the folder would otherwise hold the thread for ever.
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound from None


def size_of_file(descriptor: int) -> int:
    """The size of an open file. Raises OSError for a folder, a pipe or a device, whose size says nothing."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a file, but a folder, a pipe or a device")
    return status.st_size


def read_small(path: str) -> bytes | None:
    """The content of a file; None where there is no file, or more than MAX_SMALL_BYTES. Blocks."""
    try:
        descriptor = open_file(path)
    except NotFound:
        return None
    try:
        size = os.fstat(descriptor).st_size
        return os.read(descriptor, size) if size <= MAX_SMALL_BYTES else None
    finally:
        os.close(descriptor)


def version_of(path: str) -> str | None:
    """The version of a file's content, which a writer can't set: its inode and its time of change. Blocks."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return f"{status.st_ino}-{status.st_ctime_ns}"


def drop_cached(path: str) -> None:
    """Have the kernel forget what it has in memory of a file, if there is one. Blocks."""
    try:
        descriptor = open_file(path)
    except NotFound:
        return
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _read_rest(descriptor: int, rest: memoryview, offset: int) -> None:
    """Fill all of `rest`: one call may read only a part. Raises OSError where the file ends before."""
    while rest:
        count = os.preadv(descriptor, [rest], offset)
        if not count:
            raise OSError(f"a stored file ends at {offset} bytes, in the middle of being read")
        rest, offset = rest[count:], offset + count
