"""Revocations: "nothing issued to this subject before T is accepted"; here in files of `token.state`.

They are kept in the storage (token/revocation_store.py). Where `token.state` is set, its files are in force too, and
commands write both, so that nodes of 0.2.0 and earlier know them.

    state/revoked/<hash of the subject>.json     {"subject": "alice", "before": "2027-01-15T08:00:00Z"}

There is a file for each subject, so that two nodes that write at once never undo each other. See
docs/decisions/0018-revoke-by-time-of-issue.md.
"""

import datetime as dt
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Protocol

import structlog

from authproxy.errors import StartError
from authproxy.files.atomic import locked, make_private_folder, read_private, sync_folder, write_private
from authproxy.files.reload import Reloaded
from authproxy.program import command

log = structlog.get_logger(__name__)

FOLDER = "revoked"
_PATTERN = "[!.]*.json"
# How long a node may take to see a change: twice `watcher.LOOK_EVERY_S`.
LEARNED_WITHIN_S = 2


class Revocations(Protocol):
    """Whose tokens are refused."""

    @property
    def version(self) -> object:
        """Another object whenever an answer of `refuses` may have changed."""

    def refuses(self, subject: str, issued_at: float) -> bool:
        """Whether tokens issued to `subject` at that time (seconds since 1970) are revoked."""


class NobodyRevoked:
    """Revocations of a server that keeps no state."""

    version: object = None

    def refuses(self, subject: str, issued_at: float) -> bool:
        """See Revocations."""
        del subject, issued_at
        return False


class RevocationFolder(Reloaded[Mapping[str, float]]):
    """Revocations of a state folder, read again when it changes.

    The folder is made if it is missing. Raises StartError if it cannot be used.
    """

    part: ClassVar = "revocations"
    takes_access_away: ClassVar = True
    wrong_counts_as_unread: ClassVar = True  # only our own command writes here, and a damaged file may revoke anything

    def __init__(self, state: Path) -> None:
        self.folder = state / FOLDER
        self.changed: Callable[[], None] = lambda: None
        _make(self.folder)
        super().__init__(self.folder, pattern=_PATTERN)

    def __repr__(self) -> str:
        return f"RevocationFolder({str(self.folder)!r})"

    @property
    def version(self) -> object:
        """See Revocations."""
        return self.current

    def refuses(self, subject: str, issued_at: float) -> bool:
        """See Revocations."""
        return issued_at < self.current.get(subject, -math.inf)

    def _look(self) -> object:
        if not self.folder.is_dir():  # otherwise it would look like one without a revocation
            raise StartError(f"token.state: the folder {self.folder} is gone; put it back, or restart the server")
        return super()._look()

    def _load(self) -> Mapping[str, float]:
        return _read(self.folder)

    def _changed(self) -> None:
        self.changed()
        log.info("revocations reloaded", folder=str(self.folder), subjects=len(self.current))


def revoke(state: Path, subject: str, before: dt.datetime) -> dt.datetime:
    """Refuse what was issued to `subject` before this moment. Durable on return; in force once nodes have read it.

    An earlier revocation is never weakened: returns the later of both moments, in full seconds. Raises StartError.
    """
    folder = state / FOLDER
    _make(folder)
    path = _file_of(folder, subject)
    wanted = math.ceil(before.timestamp())
    try:
        with locked(path):
            known = _read_file(path)[1] if path.exists() else -math.inf
            moment = dt.datetime.fromtimestamp(max(wanted, known), dt.UTC)
            content = {"subject": subject, "before": moment.isoformat().replace("+00:00", "Z")}
            write_private(path, json.dumps(content, ensure_ascii=False).encode() + b"\n")
    except OSError as exc:
        raise StartError(f"cannot write {path}: {exc.strerror}; run this as the owner of {state}") from exc
    return moment


def read_files(state: Path) -> Mapping[str, float]:
    """The revocations of a state folder, by subject; none where it has no such folder. Raises StartError."""
    return _read(state / FOLDER) if (state / FOLDER).is_dir() else {}


def forget(state: Path, subject: str) -> bool:
    """Remove the file that revokes what was issued to `subject`. False: there is none. Raises StartError."""
    path = _file_of(state / FOLDER, subject)
    try:
        if not path.exists():
            return False
        with locked(path):
            path.unlink(missing_ok=True)
            sync_folder(path.parent)
    except OSError as exc:
        raise StartError(f"cannot remove {path}: {exc.strerror}; run this as the owner of {state}") from exc
    return True


def _file_of(folder: Path, subject: str) -> Path:
    return folder / f"{hashlib.sha256(subject.encode()).hexdigest()[:32]}.json"


def _make(folder: Path) -> None:
    try:
        make_private_folder(folder.parent)
        make_private_folder(folder)
    except OSError as exc:
        raise StartError(
            f"token.state: cannot make the folder {folder}: {exc.strerror}; check the permissions of {folder.parent}"
        ) from exc


def _read(folder: Path) -> Mapping[str, float]:
    try:
        paths = [path for path in folder.iterdir() if path.match(_PATTERN)]
    except OSError as exc:
        raise StartError(f"token.state: cannot read the folder {folder}: {exc.strerror}") from exc
    return MappingProxyType(dict(map(_read_file, paths)))


def _read_file(path: Path) -> tuple[str, float]:
    try:
        content = json.loads(read_private(path))
        subject, before = content["subject"], dt.datetime.fromisoformat(content["before"])
    except OSError as exc:
        raise StartError(f"token.state: cannot read {path}: {exc.strerror}; check its permissions") from exc
    except (ValueError, TypeError, KeyError) as exc:
        raise StartError(
            f'token.state: {path} must be {{"subject", "before"}} with an RFC 3339 time ({exc!r}); remove it and'
            f" revoke again: {command('token revoke SUBJECT')}"
        ) from exc
    if not isinstance(subject, str) or before.tzinfo is None:
        raise StartError(f"token.state: {path} has a subject that is not a string, or a time without a zone")
    return subject, before.timestamp()
