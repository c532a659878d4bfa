"""Free space on a disk: keeps some for other programs while an archive is decompressed or written."""

import errno
import os
from pathlib import Path

# For other programs: databases and logs on the same disk must be able to write while the user reads the error.
RESERVED_BYTES = 256 << 20
RESERVED_PART = 20  # of a small disk: one twentieth

# How often free space is checked. Less than this is never checked, so a small archive works on a full disk too.
STEP_BYTES = 16 << 20


class FreeSpace:
    """The free space of the disk that holds a folder. For one writer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken = 0  # bytes since the last check

    def take(self, count: int) -> None:
        """Call before writing `count` bytes. Raises OSError (ENOSPC) if too little space would remain."""
        self._taken += count
        if self._taken < STEP_BYTES:
            return
        status = os.statvfs(self._folder)
        reserved = min(RESERVED_BYTES, status.f_blocks * status.f_frsize // RESERVED_PART)
        if status.f_bavail * status.f_frsize - self._taken < reserved:
            raise OSError(errno.ENOSPC, f"less than {reserved >> 20} MiB of free space would be left")
        self._taken = 0
