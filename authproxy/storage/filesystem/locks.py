"""Locks between threads and processes that write to one folder, for the steps that compare before they write."""

import fcntl
import os
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

# Paths share locks by their checksum, so that no lock file needs removing. Each is held for milliseconds.
STRIPES = 64


class Locks:
    """A folder of lock files, which are never removed: network shares lock files, but not folders."""

    def __init__(self, folder: Path) -> None:
        self._paths = [str(folder / f"{stripe:02x}") for stripe in range(STRIPES)]

    @contextmanager
    def hold(self, name: str, *, beside: str | None = None) -> Iterator[None]:
        """Wait for the lock of a name, and hold it. Blocks: for a thread. Never hold two.

        `beside`: another name, which nobody else holds meanwhile, except beside theirs.
        """
        stripe = _stripe(name)
        modes = {stripe: fcntl.LOCK_EX}
        if beside is not None:
            modes.setdefault(_stripe(beside), fcntl.LOCK_SH)
        with ExitStack() as held:
            for each in sorted(modes):  # in one order everywhere: no two wait for each other
                descriptor = os.open(self._paths[each], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
                held.callback(os.close, descriptor)  # which unlocks
                fcntl.flock(descriptor, modes[each])
            yield


def _stripe(name: str) -> int:
    return zlib.crc32(name.encode()) % STRIPES
