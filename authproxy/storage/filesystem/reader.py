"""Read a file: a small one whole; any other in pieces, from memory on the event loop, from the disk in a thread."""

import os
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
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound from None


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


def _read_rest(descriptor: int, rest: memoryview, offset: int) -> None:
    """Fill all of `rest`: one call may read only a part. Raises OSError where the file ends before."""
    while rest:
        count = os.preadv(descriptor, [rest], offset)
        if not count:
            raise OSError(f"a stored file ends at {offset} bytes, in the middle of being read")
        rest, offset = rest[count:], offset + count
