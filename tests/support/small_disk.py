"""A disk that is soon full: a file system in memory of so many bytes. Needs the right to mount."""

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# sys/mount.h
MNT_DETACH = 2
FILLER = "of-somebody-else"


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """The folder is made, and is such a disk for the length of a block."""
    folder.mkdir(parents=True, exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={size_bytes}".encode()
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", ctypes.c_ulong(0), options) != 0:
        raise OSError(ctypes.get_errno(), f"this test mounts a small disk: {os.strerror(ctypes.get_errno())}", folder)
    try:
        yield folder
    finally:
        libc.umount2(os.fsencode(folder), MNT_DETACH)


def fill(disk: Path) -> None:
    """Take all the room that is left."""
    with (disk / FILLER).open("wb", buffering=0) as file:
        for size in (64 * 1024, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC


def make_room(disk: Path) -> None:
    """Give it back."""
    (disk / FILLER).unlink()
