"""Files and folders that are still there after a power cut: content synced, then its entry, then its folder's."""

import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from authproxy.private_file import sync_folder

T = TypeVar("T")

# A folder that becomes empty is removed, and may vanish between our making and our using it. Each round needs one
# more deletion at just that moment.
ATTEMPTS = 16


def write_file(path: Path, content: bytes) -> None:
    """Put a small file in one atomic step. Durable on return; folders are made. Fails without leaving a part."""
    in_folder(path.parent, lambda: _write_beside(path, content))


def in_folder(folder: Path, job: Callable[[], T]) -> T:
    """Do a job that needs a folder, which is made where it is missing; done again where it vanishes in between."""
    for _ in range(ATTEMPTS - 1):
        try:
            make_folder(folder)  # those above it may vanish as well
            return job()
        except FileNotFoundError:
            continue
    make_folder(folder)
    return job()


def make_folder(folder: Path) -> None:
    """Make a folder and those that it stands in; each entry that is new is durable."""
    try:
        folder.mkdir()
    except FileExistsError:
        return
    except FileNotFoundError:
        make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir()
    sync_folder(folder.parent)


def sync_file(path: Path) -> None:
    """Make the content of a file durable that somebody else has written."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write at an offset, in as many steps as the system takes."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written


def begin_write_back(descriptor: int, offset: int, length: int) -> None:
    """Let the system begin to write a part of a file to the disk, without waiting for it."""
    # Linux starts the writing of dirty pages on this advice, and drops only those that were clean before: what was
    # just written stays in memory for whoever pulls it next.
    os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)


def remove_file(path: Path, stop: Path) -> bool:
    """Remove a file, and the folders above it that are empty then, up to `stop`. Durable. False: it was not there."""
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    _prune(path.parent, stop)
    return True


def remove_tree(folder: Path, stop: Path) -> bool:
    """Remove a folder with all below it, and those above that are empty then, up to `stop`. Durable."""
    if not folder.exists():
        return False
    with suppress(FileNotFoundError):  # somebody else is removing it too
        shutil.rmtree(folder)
    _prune(folder.parent, stop)
    return True


def _prune(folder: Path, stop: Path) -> None:
    while folder != stop:
        try:
            folder.rmdir()
        except OSError:  # not empty; or somebody else was quicker, and goes on upwards
            break
        folder = folder.parent
    with suppress(FileNotFoundError):
        sync_folder(folder)


def _write_beside(path: Path, content: bytes) -> None:
    # A leading dot and an ending of its own: our lists leave it out, and CNCF Distribution looks for "link" and "data".
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            write_all(descriptor, content, 0)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except BaseException:  # whatever it was, no part is left behind
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
