"""Root in a folder of another account: it acts there with only the rights of that account.

The owner of a folder decides where the names in it lead. With a symbolic link instead of a lock file or a log, the
owner could make root open, change or give away a file that the owner may not touch. So root acts as the owner: the
kernel then refuses what it would refuse the owner. Every change of a file goes through `rights_at`, which walks the
path to find the account that decides where it leads. Why this way, and its limits:
docs/decisions/0046-act-as-the-owner-of-a-folder.md.
"""

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

# Linux follows no more links in one path.
MAX_LINKS = 40
# The group for an account without another: Debian's nogroup. It owns no files.
NO_GROUP = 65534

_CAP_DAC_OVERRIDE = 1 << 1
_SHARED = stat.S_IWGRP | stat.S_IWOTH
# With this value setfsuid and setfsgid change nothing, and return the present value.
_ASK = 2**32 - 1

# Only for the calling thread, unlike os.seteuid: other threads of a server keep their own rights.
_setfsuid, _setfsgid = ctypes.CDLL(None).setfsuid, ctypes.CDLL(None).setfsgid
for _call in (_setfsuid, _setfsgid):
    _call.argtypes = (ctypes.c_uint32,)
    _call.restype = ctypes.c_uint32


@dataclass(frozen=True, slots=True)
class Account:
    """The account that decides where a path leads."""

    uid: int
    gid: int
    folder: str  # the folder, or the link, by which it decides

    def __str__(self) -> str:
        return f"{_name_of(self.uid) or self.uid}, who owns {self.folder}"


@dataclass(frozen=True, slots=True)
class OwnedPath:
    """Where a path leads. `account` None: only root decides that."""

    path: Path  # without symbolic links; its last names may not exist
    account: Account | None
    is_shared: bool = False  # others may also make names in one of root's folders on the way


@contextmanager
def rights_at(path: Path) -> Iterator[OwnedPath]:
    """Run a block that uses the file or folder at `path` with the rights of the account that decides where it leads.

    That is the owner of the nearest folder that isn't root's. For accounts other than root, and inside another such
    block, nothing changes. Supplementary groups of root are dropped for good: it needs none. The rights are the
    thread's, so nothing in the block may wait for another thread. Raises OSError if the path can't be walked, and
    PermissionError with the account that was refused.
    """
    if os.geteuid() != 0 or acts_as_another():
        yield OwnedPath(Path(os.path.realpath(path)), None)
        return
    place = find_place(path)
    if place.account is None or not _become(place.account):
        yield place
        return
    try:
        yield place
    except PermissionError as exc:
        raise _explained(exc, place.account, place.path) from exc
    finally:
        _become_root_again()


def acts_as_another() -> bool:
    """Whether this thread is within `rights_at`, with the rights of another account than the process."""
    return bool(_setfsuid(_ASK) != os.geteuid())


@contextmanager
def own_rights() -> Iterator[None]:
    """Within `rights_at`: root's own rights again, to change an open file that this process has made."""
    uid, gid = _setfsuid(_ASK), _setfsgid(_ASK)
    _setfsuid(os.geteuid())
    try:
        yield
    finally:
        _setfsgid(gid)
        _setfsuid(uid)


def find_place(path: Path) -> OwnedPath:
    """Walk a path as the kernel does, and find which account decides where it leads. Raises OSError.

    The owner of the last folder that isn't root's counts. For a link its owner counts: root's link to an absolute path
    is the same as that path; any other account's link gives only that account's rights, no matter who owns its target.
    """
    walk = _PathWalk(path)
    while walk.ahead:
        name = walk.ahead.pop()
        if name == "..":
            walk.at = walk.at.parent
            continue
        here = walk.at / name
        try:
            status = here.lstat()
        except (FileNotFoundError, NotADirectoryError):
            walk.at = here.joinpath(*reversed(walk.ahead))
            break
        if stat.S_ISLNK(status.st_mode):
            walk.follow(here, status)
        else:
            walk.enter(here, status)
    return OwnedPath(walk.at, walk.account, walk.is_shared)


class _PathWalk:
    """The state of a walk: the part of the path so far, without links, and the account that decides it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.at = Path("/")
        self.ahead = _parts(Path.cwd() / path)  # the names still to walk, the next one last
        self.account: Account | None = None
        self.is_shared = False
        self._links = 0
        self._led_by_others = False

    def follow(self, link: Path, status: os.stat_result) -> None:
        """Follow a link."""
        self._links += 1
        if self._links > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(self._path))
        target = link.readlink()
        if status.st_uid != 0:
            self.account = self.account or account_of(status.st_uid, status.st_gid, str(link))
            self._led_by_others = True
        elif target.is_absolute() and not self._led_by_others:
            self.account, self.is_shared = None, False
        if target.is_absolute():
            self.at = Path("/")
        self.ahead += _parts(target)

    def enter(self, here: Path, status: os.stat_result) -> None:
        """Enter a folder, or arrive at a file."""
        self.at = here
        if not stat.S_ISDIR(status.st_mode):
            return
        if status.st_uid != 0 and not self._led_by_others:
            self.account = account_of(status.st_uid, status.st_gid, str(here))
        if status.st_uid == 0 and status.st_mode & _SHARED and not status.st_mode & stat.S_ISVTX:
            self.is_shared = True


def account_of(uid: int, gid: int, folder: str) -> Account:
    """The account that owns a folder or link, by its owner and group.

    A folder may have a group that its owner is not in (root's after `chown 65532`, adm for logs), which gives no rights
    to the owner: the account's own group counts. An account without a name has only its numbers.
    """
    import grp
    import pwd

    try:
        return Account(uid, pwd.getpwuid(uid).pw_gid, folder)
    except KeyError:
        pass
    try:
        grp.getgrgid(gid)
    except KeyError:
        return Account(uid, gid, folder)
    return Account(uid, NO_GROUP, folder)


def _parts(path: Path) -> list[str]:
    """The names of a path, the first one last; pathlib removes each `.`, and keeps each `..`."""
    return [part for part in reversed(path.parts) if part != "/"]


def _become(account: Account) -> bool:
    """Take on an account's rights in the file system. False: root has no special rights here anyway.

    Raises PermissionError if it has, and can't give them up.
    """
    with suppress(PermissionError):
        if os.getgroups():
            os.setgroups([])
    _setfsgid(account.gid)
    _setfsuid(account.uid)
    if (_setfsuid(_ASK), _setfsgid(_ASK)) == (account.uid, account.gid):
        return True
    _become_root_again()
    if not _effective_capabilities() & _CAP_DAC_OVERRIDE:
        return False
    raise PermissionError(
        errno.EPERM, f"root may not act as {account}: CAP_SETUID and CAP_SETGID are missing", account.folder
    )


def _become_root_again() -> None:
    """Restore the rights of the process. Root's group need not be 0: a container may run as `0:1000`."""
    _setfsuid(0)
    _setfsgid(os.getegid())


def _effective_capabilities() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return int(value, 16)
    return _CAP_DAC_OVERRIDE


def _explained(exc: PermissionError, account: Account, path: Path) -> PermissionError:
    """The same refusal, with the refused account and the folder that refuses it. Called with the account's rights."""
    reason = f"{exc.strerror} for {account}: root has no other rights there"
    closed = next((folder for folder in reversed(path.parents) if not _may_pass(folder)), None)
    if closed is not None:
        reason += f", and {closed} does not let that account pass"
    return PermissionError(exc.errno, reason, exc.filename)


def _may_pass(folder: Path) -> bool:
    try:
        os.stat(f"{folder}/.")  # noqa: PTH116 - pathlib would remove the dot
    except PermissionError:
        return False
    except OSError:
        pass
    return True


def _name_of(uid: int) -> str | None:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
