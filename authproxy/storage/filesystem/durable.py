"""Files and folders that are still there after a power cut: content synced, then its entry, then its folder's.

Paths are text: on these ways a join of pathlib costs as much as the system call behind it.
"""

import errno
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress

from authproxy.storage.filesystem import group_fsync as syncs

# A folder that becomes empty is removed, and may vanish between our making and our using it. Each round needs one
# more deletion at just that moment.
ATTEMPTS = 16


def make_folders(folder: str) -> list[str]:
    """Make a folder and those that it stands in. The folders that got a new entry, which the caller has to sync."""
    for _ in range(ATTEMPTS - 1):
        with suppress(FileNotFoundError):  # one of those above it vanished just then
            return _make_folders(folder)
    return _make_folders(folder)


def sync(files: Iterable[int] = (), folders: Iterable[str] = ()) -> None:
    """Make durable, all at once, what open files hold and which entries folders have; one that is gone has none."""
    opened: list[int] = []
    try:
        for folder in dict.fromkeys(folders):
            with suppress(FileNotFoundError):
                opened.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        syncs.sync_all(list(files), opened)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def write_at(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write at an offset, in as many steps as the system takes."""
    written = os.pwrite(descriptor, data, offset)
    if written < len(data):
        rest = memoryview(data)[written:]
        while rest:
            offset += written
            written = os.pwrite(descriptor, rest, offset)
            rest = rest[written:]


def begin_write_back(descriptor: int, offset: int, length: int) -> None:
    """Let the system begin to write a part of a file to the disk, without waiting for it."""
    # Linux starts the writing of dirty pages on this advice, and drops only those that were clean before: what was
    # just written stays in memory for whoever pulls it next.
    os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)


def remove_file(path: str, stop: str) -> bool:
    """Remove a file, and the folders above it that are empty then, up to `stop`. Durable. False: it was not there."""
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    sync(folders=[prune(os.path.dirname(path), stop)])
    return True


def remove_tree(folder: str, stop: str) -> bool:
    """Remove a folder with all below it, and those above that are empty then, up to `stop`. Durable.

    What somebody else writes there meanwhile may stay.
    """
    if not os.path.exists(folder):
        return False
    try:
        shutil.rmtree(folder)
    except OSError as exc:
        if exc.errno not in {errno.ENOENT, errno.ENOTEMPTY}:  # somebody else is removing it too, or writes there
            raise
    sync(folders=[prune(os.path.dirname(folder), stop)])
    return True


def prune(folder: str, stop: str) -> str:
    """Remove a folder that is empty, and those above it that are empty then, up to `stop`. The first that stays."""
    while folder != stop:
        try:
            os.rmdir(folder)
        except FileNotFoundError:  # never made, or somebody else was quicker
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
