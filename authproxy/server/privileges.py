"""Drops root for an account of the server's own, if it can still use everything: at the start of the container image.

Root is needed for ports below 1024, and for the data folder of a registry that ran as root so far. If another account
can use everything that the configuration names, the server becomes that account, for good, once it has its ports.
Otherwise it stays root and logs the reason: a registry that only changed its image's name still serves at once. It
never stays root for a path that belongs to that account: what the account has done must not make the server root.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from authproxy.config.document.schema import leaves
from authproxy.config.settings import Settings
from authproxy.errors import StartError
from authproxy.files.owner_rights import find_place

# `UID:GID`, in numbers; the image sets it. Without it the server keeps its account.
VARIABLE = "AUTHPROXY_RUN_AS"

# Below the root folder of the storage: folders that belong to root if a registry ran as root.
MADE_BY_REGISTRIES = ("docker/registry/v2", "docker/registry/v2/blobs", "docker/registry/v2/repositories")


def step_down(settings: Settings, environ: Mapping[str, str], folders: Sequence[Path] = ()) -> str | None:
    """Become the account of the variable, if it is set and we are root. Returns the reason if we stay root.

    `folders` are written to as well. Empty folders of ours that belong to root are given to that account first. Raises
    StartError if the variable is not an account.
    """
    named = environ.get(VARIABLE)
    if not named or os.geteuid() != 0:
        return None
    uid, gid = parse_account(named)
    if uid == 0:
        return None
    written, read = (*folders, *_written(settings)), _read(settings)
    try:
        for folder in written:
            _hand_over(folder, uid, gid)
        with acting_as(uid, gid):
            obstacle = _first_obstacle(written, read)
        if obstacle is None:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            return None
    except PermissionError as exc:  # the container lacks the capabilities for it
        return f"still root: {exc.strerror}: changing to {named} needs CAP_CHOWN, CAP_SETGID and CAP_SETUID"
    account = find_place(obstacle.path).account
    if account is not None and account.uid == uid:
        raise StartError(
            f"{obstacle} as {named}, to whom it belongs: chmod -R u+rwX {obstacle.path}"
            f" (or put the right folder there, if it is a link)"
        )
    return f"still root: {obstacle} as {named}; chown -R {named} the mounted files: the next start runs as that account"


def find_foreign_storage(settings: Settings) -> str | None:
    """A warning if root serves a storage folder in which another account can place links; otherwise None."""
    if os.geteuid() != 0:
        return None
    accounts = (find_place(folder).account for folder in settings.storage_folders.values())
    account = next((account for account in accounts if account is not None), None)
    if account is None:
        return None
    return (
        f"the server is root, and its storage belongs to {account}: with links in it, that account can make root write"
        f" elsewhere; run the server as that account, with {VARIABLE}={account.uid}:{account.gid} or User= of the unit"
    )


def parse_account(named: str, said_by: str = VARIABLE) -> tuple[int, int]:
    """Read `UID:GID`. Raises StartError with the source, `said_by`."""
    uid, colon, gid = named.partition(":")
    if not (colon and uid.isdecimal() and gid.isdecimal()):
        raise StartError(f"{said_by}: {named!r} is not an account; write UID:GID in numbers, such as 65532:65532")
    return int(uid), int(gid)


def _written(settings: Settings) -> tuple[Path, ...]:
    """The folders that the server writes to, and the file of the audit log."""
    folders = list(settings.storage_folders.values())
    if settings.token is not None:
        folders += [folder for folder in (settings.token.keys, settings.token.state) if folder is not None]
    if settings.state is not None:
        folders.append(settings.state.filesystem.rootdirectory)
    if settings.audit is not None and settings.audit.file is not None:
        folders += [settings.audit.file.path.parent, settings.audit.file.path]
    return tuple(folders)


def _read(settings: Settings) -> tuple[Path, ...]:
    """All other existing paths in the configuration. Missing ones are reported by the parts that need them."""
    written = _written(settings)
    named = (value for _, value in leaves(settings) if isinstance(value, Path))
    return tuple(path for path in named if path not in written and path.exists() and not path.is_socket())


def _hand_over(path: Path, uid: int, gid: int) -> None:
    place = find_place(path)
    if place.account is not None:  # another account decides which folder that is
        return
    if place.path.is_dir() and place.path.stat().st_uid == 0 and not any(place.path.iterdir()):
        os.chown(place.path, uid, gid)


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """A path that an account can't use."""

    path: Path
    lacks: str

    def __str__(self) -> str:
        return f"{self.path} cannot be {self.lacks}"


def _first_obstacle(written: Iterable[Path], read: Iterable[Path]) -> _Obstacle | None:
    for root in written:
        for folder in (root, *(root / part for part in MADE_BY_REGISTRIES)):
            try:
                can_write = not folder.exists() or os.access(folder, _needed(folder), effective_ids=True)
            except PermissionError:  # of a folder above it
                can_write = False
            if not can_write:
                return _Obstacle(folder, "written")
    for path in read:
        wanted = os.R_OK | os.X_OK if path.is_dir() else os.R_OK
        if not os.access(path, wanted, effective_ids=True):
            return _Obstacle(path, "read")
    return None


def _needed(written: Path) -> int:
    """The rights for a file or folder that the server writes to. On a read-only file system root has no more."""
    is_read_only = os.statvfs(written).f_flag & os.ST_RDONLY
    return os.R_OK | (os.X_OK if written.is_dir() else 0) | (0 if is_read_only else os.W_OK)


@contextmanager
def acting_as(uid: int, gid: int, of: Sequence[int] = ()) -> Iterator[None]:
    """Act with the rights of an account, also in the groups `of`, for the length of a block; then as root again."""
    groups = os.getgroups()
    os.setgroups(of)
    os.setegid(gid)
    try:
        os.seteuid(uid)
        try:
            yield
        finally:
            os.seteuid(0)
    finally:
        os.setegid(0)
        os.setgroups(groups)
