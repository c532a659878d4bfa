"""Files with secrets: written completely or not at all, readable only by their owner, by one process at a time.

Root does all of this with the rights of the folder's owner (owner_rights.py).
"""

import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from authproxy.files.owner_rights import OwnedPath, acts_as_another, own_rights, rights_at

# How often to try again if another process makes or removes the file that we are about to open.
_ATTEMPTS = 16
_NO_LOCKS = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP)
_NEW = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_private(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace a file in one step; durable on return.

    A new file has `mode` and, if this process may set them, the owner and group of its folder; an existing one keeps
    its own: a server that runs under another account must be able to read a file that root has added or changed. A
    symbolic link is kept, and its target replaced. Raises OSError.
    """
    with rights_at(path) as place:
        target = place.path
        existing = _find_status(target)
        beside = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        handle = os.open(beside, os.O_WRONLY | _NEW, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                _give(file.fileno(), existing or target.parent.stat())
                os.fchmod(file.fileno(), existing.st_mode & 0o777 if existing else mode)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        sync_folder(target.parent)


def read_private(path: Path) -> bytes:
    """The content of a file. Raises OSError, also if it is not a regular file: reading a pipe would block."""
    try:
        return _read(path)
    except FileNotFoundError:  # a link on the way changed to another folder just then, as in a ConfigMap
        return _read(path)


def make_private_folder(folder: Path) -> None:
    """Make a missing folder for its owner only, and missing ones above it by the umask. Raises OSError."""
    with rights_at(folder) as place:
        place.path.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the exclusive right to change `path`, among processes of this machine, by a hidden lock file beside it.

    Waits for another holder. Readers need no lock: a file is replaced in one step. If root makes the lock file, it
    belongs to the owner of its folder, who needs it next. Root has only the owner's rights within the block.
    Raises OSError.
    """
    with rights_at(path) as place:
        handle = open_own(place, f".{place.path.name}.lock", os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


@contextmanager
def locked_folder(path: Path) -> Iterator[None]:
    """The same by a lock on the folder of `path`, for folders of other programs: no file is left in them.

    On a file system without locks on folders (NFS), it has no effect. Raises OSError.
    """
    with rights_at(path) as place:
        handle = os.open(place.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
            except OSError as exc:
                if exc.errno not in _NO_LOCKS:
                    raise
            yield
        finally:
            os.close(handle)


def open_own(place: OwnedPath, name: str, flags: int) -> int:
    """Open or make a file beside `place`, for its owner only. Called within its `rights_at`.

    Follows no symbolic link, and opens only a regular file; a file that this call makes belongs to the owner of its
    folder. Raises OSError.
    """
    path = place.path.with_name(name)
    for last in range(_ATTEMPTS - 1, -1, -1):
        with suppress(FileExistsError):
            handle = os.open(path, flags | _NEW, 0o600)
            try:
                _give(handle, path.parent.stat())
            except BaseException:
                os.close(handle)
                raise
            return handle
        try:
            # Without O_NONBLOCK, opening a pipe without a reader would block.
            handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:  # removed in between
            if not last:
                raise
            continue
        try:
            check_own(handle, place, path)
        except BaseException:
            os.close(handle)
            raise
        return handle
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def check_own(handle: int, place: OwnedPath, path: Path | None = None) -> None:
    """Raise OSError if an open file is not a regular one, or has other names (hard links).

    Other names matter only if root works with its own rights in a folder that others may write to.
    """
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "is not a regular file; remove it", str(path or place.path))
    if place.is_shared and place.account is None and status.st_uid == 0 and status.st_nlink > 1:
        raise OSError(errno.EMLINK, "has other names (hard links); replace it by a copy", str(path or place.path))


def _read(path: Path) -> bytes:
    with rights_at(path) as place:
        handle = os.open(place.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            check_own(handle, place)
            return file.read()


def _find_status(target: Path) -> os.stat_result | None:
    with suppress(FileNotFoundError):
        return target.lstat()
    return None


def _give(handle: int, owner: os.stat_result) -> None:
    """Give a file that this process has just made to an owner and a group, if it may."""
    if acts_as_another():
        # The account owns it already, but may not be in the group, such as that of a log that adm reads.
        if owner.st_gid != os.fstat(handle).st_gid:
            with own_rights():
                os.fchown(handle, -1, owner.st_gid)
        return
    with suppress(PermissionError):
        os.fchown(handle, owner.st_uid, owner.st_gid)


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder durable. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
