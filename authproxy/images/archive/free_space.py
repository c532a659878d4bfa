"""Room on a disk: what an archive unpacks to is bounded by what other programs need there."""

import errno
import os
from pathlib import Path

# Left to others: databases and logs on the same disk go on writing while the user reads the error.
RESERVED_BYTES = 256 << 20
RESERVED_PART = 20  # of a small disk: a twentieth

# How often the disk is asked. This much is taken without asking, so a small archive is unpacked on a full disk too.
STEP_BYTES = 16 << 20


class FreeSpace:
    """The room below one folder. For one writer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken = 0  # bytes since the disk was asked

    def take(self, count: int) -> None:
        """Before `count` bytes are written. Raises OSError (ENOSPC) where too little would be left."""
        self._taken += count
        if self._taken < STEP_BYTES:
            return
        status = os.statvfs(self._folder)
        reserved = min(RESERVED_BYTES, status.f_blocks * status.f_frsize // RESERVED_PART)
        if status.f_bavail * status.f_frsize - self._taken < reserved:
            raise OSError(errno.ENOSPC, f"it would leave less than {reserved >> 20} MiB of free space there")
        self._taken = 0
