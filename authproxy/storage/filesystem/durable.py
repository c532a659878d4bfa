"""Files and folders that survive a power cut: content synced, then its entry, then its folder's.

Paths are text: here a join of pathlib would cost as much as the system call.
"""

import errno
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress

from authproxy.storage.filesystem import group_fsync

# A folder that becomes empty is removed, so it may vanish between creating and using it. Each further attempt needs one
# more concurrent deletion.
ATTEMPTS = 16


def make_folders(folder: str) -> list[str]:
    """Make a folder and its parents. Returns the folders that got a new entry, which the caller must sync."""
    for _ in range(ATTEMPTS - 1):
        with suppress(FileNotFoundError):  # a parent has just vanished
            return _make_folders(folder)
    return _make_folders(folder)


def sync(files: Iterable[int] = (), folders: Iterable[str] = ()) -> None:
    """Make the content of open files and the entries of folders durable, all at once. Missing folders are skipped."""
    opened: list[int] = []
    try:
        for folder in dict.fromkeys(folders):
            with suppress(FileNotFoundError):
                opened.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        group_fsync.sync_all(list(files), opened)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def write_at(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` at an offset: one call may write only a part."""
    written = os.pwrite(descriptor, data, offset)
    if written < len(data):
        rest = memoryview(data)[written:]
        while rest:
            offset += written
            written = os.pwrite(descriptor, rest, offset)
            rest = rest[written:]


def begin_write_back(descriptor: int, offset: int, length: int) -> None:
    """Have the system begin to write a part of a file to the disk, without waiting for it."""
    # On this advice Linux starts to write dirty pages, and drops only those that were clean before: what was just
    # written stays in memory for the next pull.
    os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)


def remove_file(path: str, stop: str) -> bool:
    """Remove a file, and the folders above it that become empty, below `stop`. Durable. False: there was no file."""
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    sync(folders=[prune(os.path.dirname(path), stop)])
    return True


def remove_tree(folder: str, stop: str) -> bool:
    """Remove a folder with all its content, and the folders above it that become empty, below `stop`. Durable.

    Content that another process writes there meanwhile may stay. False: there was no folder.
    """
    if not os.path.exists(folder):
        return False
    try:
        shutil.rmtree(folder)
    except OSError as exc:
        if exc.errno not in {errno.ENOENT, errno.ENOTEMPTY}:  # another process is removing it too, or writes there
            raise
    sync(folders=[prune(os.path.dirname(folder), stop)])
    return True


def prune(folder: str, stop: str) -> str:
    """Remove a folder if it is empty, and those above it that become empty, below `stop`. Returns the first kept."""
    while folder != stop:
        try:
            os.rmdir(folder)
        except FileNotFoundError:  # never made, or already removed by another process
            pass
        except OSError:  # not empty
            break
        folder = os.path.dirname(folder)
    return folder


def _make_folders(folder: str) -> list[str]:
    above = os.path.dirname(folder)
    try:
        os.mkdir(folder)
    except FileExistsError:
        return []
    except FileNotFoundError:
        changed = _make_folders(above)
        with suppress(FileExistsError):
            os.mkdir(folder)
        return [*changed, above]
    return [above]
