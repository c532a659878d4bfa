"""Files that processes hold locked for as long as they live, so that others see whether they still do."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Presence:
    """A folder of files, each named after what is alive and locked by the process that says so.

    The kernel unlocks a file when its process ends, however that happens. A stopped process is alive.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Hold a name for the length of a block. Raises BlockingIOError where another process, or block, holds it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / name
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
            with suppress(OSError):  # a file that stays says nothing: it is unlocked
                path.unlink()
        finally:
            os.close(descriptor)  # which unlocks

    def is_held(self, name: str) -> bool:
        """Whether a living process holds the name. Writes nothing."""
        try:
            descriptor = os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False
