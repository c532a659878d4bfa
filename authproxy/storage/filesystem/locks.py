"""Locks between threads and processes that write to one folder, for the steps that compare before they write."""

import fcntl
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Paths share locks by their checksum, so that no lock file needs removing. Each is held for milliseconds.
STRIPES = 64


class Locks:
    """A folder of lock files, which are never removed: network shares lock files, but not folders."""

    def __init__(self, folder: Path) -> None:
        self._paths = [str(folder / f"{stripe:02x}") for stripe in range(STRIPES)]

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Wait for the lock of a name, and hold it. Blocks: for a thread. Never hold two."""
        path = self._paths[zlib.crc32(name.encode()) % STRIPES]
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)  # which unlocks
