"""Open files on the event loop, as long as the kernel has all that it needs in memory.

Handing over to a thread costs about ten times as much as opening a small file whose path is cached. `openat2` with
RESOLVE_CACHED (Linux 5.12) fails where it would have to wait for the disk, as `preadv2` with RWF_NOWAIT does for
content: so neither blocks the loop. Where the kernel or a sandbox does not offer it, everything goes to a thread.
"""

import ctypes
import errno
import os
from pathlib import Path

from authproxy.storage.driver import NotFound

# linux/openat2.h and asm/unistd.h: the number is the same on every architecture.
_SYS_OPENAT2 = 437
_RESOLVE_CACHED = 0x20
_AT_FDCWD = -100


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


# PyDLL keeps the interpreter's lock: the call is shorter than releasing the lock and waiting for it again.
_syscall = ctypes.PyDLL(None, use_errno=True).syscall
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
_syscall.restype = ctypes.c_long
_READ = _OpenHow(os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, 0, _RESOLVE_CACHED)
_FOLDER = _OpenHow(os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY, 0, _RESOLVE_CACHED)
_WRITE = _OpenHow(os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK, 0, _RESOLVE_CACHED)
_READ_AT, _FOLDER_AT, _WRITE_AT = ctypes.addressof(_READ), ctypes.addressof(_FOLDER), ctypes.addressof(_WRITE)
_HOW_SIZE = ctypes.sizeof(_READ)


class NotCached(Exception):
    """It would have to wait for the disk: do it in a thread."""


def open_cached(path: str | Path) -> int:
    """A descriptor to read from. Raises NotFound where there certainly is no file, and NotCached."""
    return _open(path, _READ_AT)


def open_to_write_cached(path: str | Path) -> int:
    """A descriptor to read and write an existing file. Raises as `open_cached` does."""
    return _open(path, _WRITE_AT)


def read_cached(path: str | Path, max_bytes: int) -> bytes | None:
    """The content of a small file; None where there is no file. Raises NotCached, also where it is over `max_bytes`."""
    try:
        descriptor = open_cached(path)
    except NotFound:
        return None
    try:
        size = os.fstat(descriptor).st_size
        if size > max_bytes:
            raise NotCached
        content = bytearray(size)
        if size and os.preadv(descriptor, [content], 0, os.RWF_NOWAIT) != size:
            raise NotCached
        return bytes(content)
    except OSError:  # EAGAIN, or a file system without RWF_NOWAIT
        raise NotCached from None
    finally:
        os.close(descriptor)


def size_cached(path: str | Path) -> int | None:
    """The size of a file in bytes; None where there is no file. Raises NotCached."""
    try:
        descriptor = open_cached(path)
    except NotFound:
        return None
    try:
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def stat_folder_cached(path: str) -> os.stat_result:
    """The status of a folder. Raises NotFound where there certainly is no folder, and NotCached."""
    descriptor = _open(path, _FOLDER_AT)
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _open(path: str | Path, how: int) -> int:
    descriptor: int = _syscall(_SYS_OPENAT2, _AT_FDCWD, os.fsencode(path), how, _HOW_SIZE)
    if descriptor >= 0:
        return descriptor
    if ctypes.get_errno() in (errno.ENOENT, errno.ENOTDIR):
        raise NotFound
    raise NotCached
