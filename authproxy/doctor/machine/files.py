"""May the server read and write its files and folders: checked as the account that this runs under."""

import os
from collections.abc import Iterator
from pathlib import Path

from authproxy.config.document.schema import leaves
from authproxy.config.pem_files import find_file_faults
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.machine.account import own_name
from authproxy.doctor.machine.installation import Installation
from authproxy.server.privileges import MADE_BY_REGISTRIES

# Keys of files that may be absent: sockets, and files that switch something by their presence.
_MAY_BE_ABSENT = ("http.addr", "http.debug.addr", "http.maintenance", "health", "audit.syslog")
# Keys of files that have checks of their own.
_ELSEWHERE = ("policies", "identities", "auth.htpasswd")
# The ends of keys whose files only their owner should read.
_SECRETS = (".key", ".passwordfile")


def check_files(installation: Installation) -> Iterator[Finding]:
    """Folders that are written, then files that are read; one line for all folders without a fault."""
    written = dict(_written(installation))
    faults = [fault for key, path in written.items() if (fault := _find_write_fault(installation, key, path))]
    yield from faults
    if written and not faults:
        yield Finding(Level.OK, "folders", f"can be written: {', '.join(map(str, written.values()))}")
    read = [(key, path) for key, path in _read(installation) if key not in written]
    for key, path in read:
        if (fault := find_read_fault(installation, key, path)) is not None:
            yield fault
        elif key.endswith(_SECRETS) and path.stat().st_mode & 0o007:
            what = f"{path} ({key}) can be read by everyone on this machine"
            yield Finding(Level.WARNING, "files", what, f"chmod o= {path}")
    for wrong in find_file_faults(installation.settings):
        # Our certificate is checked together with its key, in `certificate.py`.
        if not wrong.is_missing and not wrong.key.startswith("http.tls"):
            what, _, fix = wrong.what.partition("; ")
            what = f"{wrong.path} ({wrong.key}) {what}"
            yield Finding(Level.FAILED, "files", what, fix or f"{installation.place(wrong.key)}: a valid one")


def find_read_fault(installation: Installation, key: str, path: Path) -> Finding | None:
    """A finding if a file or folder cannot be read."""
    if (closed := find_closed(path)) is not None:
        what = f"{path} ({key}) cannot be read by {_who()}: {closed} is closed to it"
        return Finding(Level.FAILED, "files", what, _open_up(path, closed))
    if not path.exists():
        return Finding(Level.FAILED, "files", f"there is no {path} ({key})", f"{installation.place(key)}: where it is")
    return None


def _written(installation: Installation) -> Iterator[tuple[str, Path]]:
    settings = installation.settings
    if settings.storage is not None and not settings.storage.maintenance.readonly.enabled:
        yield from settings.storage_folders.items()
    if settings.token is not None:
        yield "token.keys", settings.token.keys
        if settings.token.state is not None:
            yield "token.state", settings.token.state
    if settings.state is not None:
        yield "state.filesystem.rootdirectory", settings.state.filesystem.rootdirectory
    if settings.audit is not None and settings.audit.file is not None:
        yield "audit.file.path", settings.audit.file.path


def _read(installation: Installation) -> Iterator[tuple[str, Path]]:
    if installation.has_file:
        yield "the configuration", Path(installation.loaded.origin)
    yield from _read_by_keys(installation)


def _read_by_keys(installation: Installation) -> Iterator[tuple[str, Path]]:
    for path, value in leaves(installation.settings):
        key = ".".join(map(str, path))
        if isinstance(value, Path) and not key.startswith(_MAY_BE_ABSENT + _ELSEWHERE):
            yield key, value


def _find_write_fault(installation: Installation, key: str, path: Path) -> Finding | None:
    if key == "audit.file.path":
        return _find_log_fault(installation, key, path)
    if (closed := find_closed(path, os.W_OK)) is not None:
        if installation.hands_over and closed == path.absolute() and _is_empty_and_of_root(path):
            return None
        return _not_written(key, path, closed, _hand_over(path, closed))
    if path.exists() and not path.is_dir():
        return Finding(
            Level.FAILED, "folders", f"{path} ({key}) is not a folder", f"{installation.place(key)}: a folder"
        )
    return _find_foreign_folder(path) if key.startswith("storage") else None


def _find_log_fault(installation: Installation, key: str, path: Path) -> Finding | None:
    """A log is created, and renamed at rotation, in its folder, which has to exist."""
    if (closed := find_closed(path.parent, os.W_OK)) is not None:
        fix = f"{installation.place(key)}: a file in a folder that {_who()} may write, since it is rotated there"
        return _not_written(key, path, closed, fix)
    if not path.parent.is_dir():
        what = f"there is no folder {path.parent} for {path} ({key})"
        return Finding(Level.FAILED, "folders", what, f"mkdir {path.parent}, for the server's account")
    if path.exists() and (closed := find_closed(path, os.W_OK)) is not None:
        return _not_written(key, path, closed, _hand_over(path, closed))
    return None


def _not_written(key: str, path: Path, closed: Path, fix: str) -> Finding:
    what = f"{path} ({key}) cannot be written by {_who()}: {closed} is closed to it"
    return Finding(Level.FAILED, "folders", what, fix)


def _find_foreign_folder(root: Path) -> Finding | None:
    """Folders below the storage's root that belong to another account, since a registry ran as it."""
    for folder in (root / part for part in MADE_BY_REGISTRIES):
        if folder.exists() and (closed := find_closed(folder, os.W_OK)) is not None:
            what = f"{closed}, which another account has created, cannot be written by {_who()}"
            return Finding(
                Level.FAILED,
                "folders",
                what,
                f"chown -R {own_name()} {root}, or run the server as its owner, {_owner(root)}",
            )
    return None


def find_closed(path: Path, wanted: int = os.R_OK) -> Path | None:
    """The path, or the folder above it, that the account may not use. A missing path is created in its folder."""
    absolute = path.absolute()
    for folder in reversed(absolute.parents):
        if folder.exists() and not os.access(folder, os.X_OK, effective_ids=True):
            return folder
    nearest = absolute
    while not nearest.exists():
        nearest = nearest.parent
    if nearest != absolute and wanted == os.R_OK:
        return None
    wanted |= os.R_OK | (os.X_OK if nearest.is_dir() else 0)
    return None if os.access(nearest, wanted, effective_ids=True) else nearest


def _is_empty_and_of_root(path: Path) -> bool:
    """Whether the start gives a folder to the account that it becomes (`server/privileges.py`)."""
    return path.is_dir() and path.stat().st_uid == 0 and _may_list(path) and not any(path.iterdir())


def _may_list(path: Path) -> bool:
    return os.access(path, os.R_OK | os.X_OK, effective_ids=True)


def _open_up(path: Path, closed: Path) -> str:
    """The fix to read a path that `closed` prevents."""
    rights = "r"
    if closed.is_dir():
        rights = "rx" if closed == path.absolute() else "x"
    return f"setfacl -m u:{own_name()}:{rights} {closed}, or run the server as its owner, {_owner(closed)}"


def _hand_over(path: Path, closed: Path) -> str:
    """The fix to write a path that `closed` prevents."""
    if not os.access(closed, os.X_OK, effective_ids=True) and closed != path.absolute():
        return _open_up(path, closed)
    if closed != path.absolute():  # it is created there: do not give the folder around it away
        return f"mkdir -p {path} && chown {own_name()} {path}"
    return f"chown {own_name()} {closed}, or run the server as its owner, {_owner(closed)}"


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (KeyError, OSError):
        return str(path.stat().st_uid)


def _who() -> str:
    return f"the account {own_name()}"
