"""Marks of changes, shared by all processes that serve one folder, so that each knows at once when its cache is stale.

A file of marks, mapped into the memory of every worker. A writer puts a new mark at the path's place before its caller
learns that it is done; a cache keeps the mark that was there before it read. While the mark is the same, no process of
ours has changed the path. Other programs set no marks, nor do other machines on a network share, which maps no memory
between them: so cached content also expires after a short time.
"""

import mmap
import os
import secrets
import zlib
from contextlib import suppress
from pathlib import Path

# Paths share marks by their checksum: after a change, all paths with its mark are read again, which does no harm.
MARKS = 4096
_BYTES = 8 * MARKS

# The link of a tag is three folders below that of all tags: <tag>/current/link.
FOLDERS = 3


class ChangeMarks:
    """The marks of one storage. `file` is created if missing; where it can't be, the marks are this process's alone.

    `read_only`: the file isn't created, and `renew` and `renew_all` may not be called.
    """

    def __init__(self, file: Path, *, read_only: bool = False) -> None:
        self._map = _open_to_read(file) if read_only else _open_map(file)
        # Eight bytes at an aligned address are read and written in one step.
        self.marks = memoryview(self._map).cast("Q")

    def place(self, path: str) -> int:
        """The index of a path's mark in `marks`."""
        return zlib.crc32(path.encode()) % MARKS

    def mark(self, path: str) -> int:
        """The mark of a path, to be compared with one read later."""
        return self.marks[self.place(path)]

    def renew(self, path: str) -> None:
        """Give a path that has changed a new mark, and also FOLDERS of the folders that it is in."""
        mark = secrets.randbits(64)
        self.marks[self.place(path)] = mark
        for _ in range(FOLDERS):
            path = path.rpartition("/")[0]
            self.marks[self.place(path)] = mark

    def renew_all(self) -> None:
        """Give every path a new mark: anything may have changed."""
        self._map[:] = secrets.token_bytes(8) * MARKS


def _open_to_read(file: Path) -> mmap.mmap:
    with suppress(OSError, ValueError):  # ValueError: the file is too short
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return mmap.mmap(descriptor, _BYTES, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)
    return mmap.mmap(-1, _BYTES)


def _open_map(file: Path) -> mmap.mmap:
    with suppress(OSError):
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            # Allocated now: a mark written into a hole of the file on a full disk would kill the process (SIGBUS).
            os.posix_fallocate(descriptor, 0, _BYTES)
            return mmap.mmap(descriptor, _BYTES)
        finally:
            os.close(descriptor)
    return mmap.mmap(-1, _BYTES)
