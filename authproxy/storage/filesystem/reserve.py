"""Room for our own state on a full disk: a file that holds it, and gives it back where a record has no room.

Without it nothing could be deleted from a full disk: a deletion is recorded before the first link goes. See
docs/decisions/0076-keep-room-for-state.md.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from authproxy.clock import Clock
from authproxy.os_errors import FULL, report_machine_fault

T = TypeVar("T")

# A deletion leaves a record in the trash: two blocks with its folder. So this is enough for 500 of them.
SIZE_BYTES = 4 * 1024 * 1024
# It shrinks by this: content that is written at the same moment can't take all of it at once.
STEP_BYTES = 128 * 1024
# It is made only where so much is free: on a nearly full disk it must not take the last room.
MIN_FREE_BYTES = 2 * SIZE_BYTES

# How often a writer looks whether it is there, in seconds.
LOOK_EVERY_S = 60.0


class Reserve:
    """The file, shared by all processes over a storage. Blocks: for threads. No error of its own is ever raised.

    `is_made`: it is made now, and again once it was used; otherwise only what others have made is used.
    """

    def __init__(self, file: Path, *, is_made: bool, now: Clock) -> None:
        self._file = file
        self._is_made = is_made
        self._now = now
        self._looked = now()
        if is_made:
            self._make()

    def _make(self) -> None:
        """Make it, or fill it up, where there is room."""
        with suppress(OSError), self._locked() as descriptor:
            status = os.fstat(descriptor)
            if _is_whole(status):
                return
            if _free_bytes(descriptor) < MIN_FREE_BYTES:
                return
            try:
                os.posix_fallocate(descriptor, 0, SIZE_BYTES)
            except OSError:  # another writer has taken the room
                os.ftruncate(descriptor, status.st_size)

    def spend(self, job: Callable[[], T]) -> T:
        """Do a job that writes state or deletes, again with more room as long as there is some. It may be repeated.

        Raises what the job raises.
        """
        while True:
            try:
                result = job()
            except OSError as error:
                if error.errno not in FULL or not self._give_back(error.errno):
                    raise
                report_machine_fault(error, str(self._file))
            else:
                self._look()
                return result

    def _look(self) -> None:
        """Fill it up after a write that succeeded, at most once in LOOK_EVERY_S."""
        if not self._is_made or self._now() - self._looked < LOOK_EVERY_S:
            return
        self._looked = self._now()
        try:
            is_whole = _is_whole(os.stat(self._file, follow_symlinks=False))
        except OSError:
            is_whole = False
        if not is_whole:
            self._make()

    def _give_back(self, lack: int) -> bool:
        """Make it smaller by a step. False: it is used up, or what lacks is not room but inodes."""
        with suppress(OSError), self._locked(os.O_RDWR) as descriptor:
            if lack == errno.ENOSPC and _free_bytes(descriptor) >= MIN_FREE_BYTES:
                return False
            size = os.fstat(descriptor).st_size
            if size > 0:
                os.ftruncate(descriptor, max(0, min(size, SIZE_BYTES) - STEP_BYTES))
                os.fsync(descriptor)  # where a file system frees blocks only with its next transaction
                return True
        return False

    @contextmanager
    def _locked(self, flags: int = os.O_RDWR | os.O_CREAT) -> Iterator[int]:
        descriptor = os.open(self._file, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)  # which unlocks


def _is_whole(status: os.stat_result) -> bool:
    """Whether all of its room is taken: a copy from a backup may have holes."""
    return status.st_size >= SIZE_BYTES and status.st_blocks * 512 >= SIZE_BYTES


def _free_bytes(descriptor: int) -> int:
    space = os.fstatvfs(descriptor)
    return space.f_bavail * space.f_frsize
