"""Files that hold secrets: written whole or not at all, for their owner alone, by one process at a time."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Replace a file in one step; durable on return.

    A new file has mode 0600 and, where this process may set them, the owner and group of its folder; an existing one
    keeps its own: a server that runs under another account must be able to read what root has added or changed. A
    symbolic link stays one. Raises OSError.
    """
    target = Path(os.path.realpath(path))
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # made with mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            _adopt(file.fileno(), target)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the only right to change `path`, among processes of this machine, by a hidden lock file beside it.

    Waits for whoever holds it. Readers need no lock: a file is replaced in one step. Where root holds it first, the
    lock file belongs to whom its folder belongs, who wants it next. Raises OSError.
    """
    target = Path(os.path.realpath(path))
    handle = os.open(target.with_name(f".{target.name}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        _give(handle, target.parent.stat())
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _adopt(handle: int, target: Path) -> None:
    existing = target if target.exists() else None
    status = (existing or target.parent).stat()
    _give(handle, status)
    if existing:
        os.fchmod(handle, status.st_mode & 0o777)


def _give(handle: int, owner: os.stat_result) -> None:
    with suppress(PermissionError):  # only root gives files away; anybody else owns what it could replace
        os.fchown(handle, owner.st_uid, owner.st_gid)


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder durable. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
