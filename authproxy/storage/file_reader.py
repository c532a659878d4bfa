"""Reading a file in pieces: from the page cache on the event loop, from the disk in a thread."""

import os
from collections.abc import AsyncIterator
from functools import partial

from authproxy.storage.driver import PIECE_BYTES
from authproxy.storage.workers import Workers


class FileReader:
    """An open file. A piece that is in memory costs no hand-over; any other is read where it may block."""

    def __init__(self, descriptor: int, size: int, workers: Workers) -> None:
        self.size = size
        self._descriptor = descriptor
        self._workers = workers

    async def pieces(self, first: int, length: int) -> AsyncIterator[bytes]:
        """See `driver.Reader`."""
        buffer = memoryview(bytearray(min(PIECE_BYTES, length)))
        offset, end = first, first + length
        while offset < end:
            wanted = min(PIECE_BYTES, end - offset)
            taken = self._read_at_once(buffer[:wanted], offset)
            if taken == wanted:
                piece = bytes(buffer[:wanted])
            else:  # the rest is on the disk
                rest = await self._workers.run(partial(_read_all, self._descriptor, wanted - taken, offset + taken))
                piece = bytes(buffer[:taken]) + rest if taken else rest
            offset += wanted
            yield piece

    def _read_at_once(self, buffer: memoryview, offset: int) -> int:
        """How many bytes could be read without waiting for the disk."""
        try:
            return os.preadv(self._descriptor, [buffer], offset, os.RWF_NOWAIT)
        except OSError:  # EAGAIN: not in memory; EOPNOTSUPP: a file system that can't tell. The thread meets the others
            return 0


def _read_all(descriptor: int, length: int, offset: int) -> bytes:
    """Read exactly so much; the system may give less at a time. Raises OSError where the file ends before."""
    data = os.pread(descriptor, length, offset)
    while len(data) < length:
        more = os.pread(descriptor, length - len(data), offset + len(data))
        if not more:
            raise OSError(f"a stored file ends at {offset + len(data)} bytes, in the middle of being read")
        data += more
    return data
