"""The folder of an upload's session: its data file, locked while a request writes to it, and the time it began."""

import fcntl
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from authproxy.storage.driver import NotFound
from authproxy.storage.filesystem import durable
from authproxy.storage.filesystem.nonblocking import open_to_write_cached, size_cached
from authproxy.storage.layout import UPLOAD_DATA, UPLOAD_STARTED


@dataclass(frozen=True, slots=True)
class Session:
    """A session's folder with its data file open and locked."""

    folder: str
    descriptor: int
    size: int

    @property
    def data(self) -> str:
        """The path of its data file."""
        return f"{self.folder}/{UPLOAD_DATA}"

    def is_plain(self) -> bool:
        """Whether the folder contains only our own two files: CNCF Distribution, if it served it, adds more."""
        return set(os.listdir(self.folder)) <= {UPLOAD_DATA, UPLOAD_STARTED}

    def close(self) -> None:
        """Unlock. The data stays."""
        os.close(self.descriptor)


def create_session(folder: str, started: str) -> Session:
    """Make a session's folder, which is not synced: it outlives the process, but not a power cut. Blocks.

    The folders above it become durable, because the content's link will be below them.
    """
    if changed := durable.make_folders(folder)[:-1]:
        durable.sync(folders=changed)
    try:
        descriptor = os.open(f"{folder}/{UPLOAD_DATA}", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError:
        with suppress(OSError):
            os.rmdir(folder)
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _write_new(f"{folder}/{UPLOAD_STARTED}", started.encode())
    except BaseException:  # no client will ever continue it
        os.close(descriptor)
        drop_session(folder)
        raise
    return Session(folder, descriptor, 0)


def take_session(folder: str) -> Session | None:
    """Open and lock a session. None: another request holds it. Blocks. Raises NotFound."""
    try:
        descriptor = os.open(f"{folder}/{UPLOAD_DATA}", os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound from None
    return _lock(folder, descriptor, find_size)


def take_session_cached(folder: str) -> Session | None:
    """`take_session` without waiting for the disk. Raises NotFound, NotCached."""
    return _lock(folder, open_to_write_cached(f"{folder}/{UPLOAD_DATA}"), size_cached)


def drop_session(folder: str) -> None:
    """Remove a session's folder. Not synced: a folder that reappears after a power cut does no harm."""
    try:
        for name in (UPLOAD_DATA, UPLOAD_STARTED):
            with suppress(FileNotFoundError):
                os.unlink(f"{folder}/{name}")
        os.rmdir(folder)
    except OSError:  # CNCF Distribution keeps more in it
        shutil.rmtree(folder, ignore_errors=True)


def find_size(path: str) -> int | None:
    """The size of a file in bytes; None where there is no file."""
    try:
        return os.stat(path).st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def _lock(folder: str, descriptor: int, size_of: Callable[[str], int | None]) -> Session | None:
    """Lock an open data file, or close it: None where another request holds it."""
    is_ours, size = False, None
    try:
        is_ours = _try_lock(descriptor)
        # Its holder may have moved the file into place, or dropped it, while we were opening it.
        size = size_of(f"{folder}/{UPLOAD_DATA}") if is_ours else None
    finally:
        if size is None:
            os.close(descriptor)
    if is_ours and size is None:
        raise NotFound
    return None if size is None else Session(folder, descriptor, size)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_new(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
