"""What changed, told between all processes that serve one folder: so that what each remembers is right at once.

A file of marks, mapped into the memory of every worker. Whoever changes something puts a new mark at the path's place
before its caller learns that it is done; whoever remembers something keeps the mark that was there before it looked.
While the mark is the same nothing of ours has changed the path. Another program leaves no marks: what is remembered
counts for a short time only. So it is on a network share, which maps no memory between machines.
"""

import mmap
import os
import secrets
import zlib
from contextlib import suppress
from pathlib import Path

# Paths share marks by their checksum: a change makes everybody look again at what shares its mark, which does no harm.
MARKS = 4096
_BYTES = 8 * MARKS

# The link of a tag is three folders below that of all tags: <tag>/current/link.
FOLDERS = 3


class ChangeMarks:
    """The marks of one storage. `file` is made where it is missing; where it can't be, the marks are this process's.

    `read_only`: it isn't made, and `tell` may not be called.
    """

    def __init__(self, file: Path, *, read_only: bool = False) -> None:
        self._map = _open_to_read(file) if read_only else _open_map(file)
        # Eight bytes at an aligned address are read and written in one step.
        self.marks = memoryview(self._map).cast("Q")

    def place(self, path: str) -> int:
        """Where in `marks` the mark of a path is."""
        return zlib.crc32(path.encode()) % MARKS

    def mark(self, path: str) -> int:
        """The mark of a path, to be compared with one read later."""
        return self.marks[self.place(path)]

    def tell(self, path: str) -> None:
        """What is at a path has changed, and so have the folders that it stands in, as far up as a tag's does."""
        mark = secrets.randbits(64)
        self.marks[self.place(path)] = mark
        for _ in range(FOLDERS):
            path = path.rpartition("/")[0]
            self.marks[self.place(path)] = mark

    def tell_all(self) -> None:
        """Anything may have changed."""
        self._map[:] = secrets.token_bytes(8) * MARKS


def _open_to_read(file: Path) -> mmap.mmap:
    with suppress(OSError, ValueError):  # ValueError: it is shorter than that
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
            # Its room is taken now: a mark put into a hole of a full disk would kill the process (SIGBUS).
            os.posix_fallocate(descriptor, 0, _BYTES)
            return mmap.mmap(descriptor, _BYTES)
        finally:
            os.close(descriptor)
    return mmap.mmap(-1, _BYTES)
