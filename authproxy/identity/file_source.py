"""Identity sources that are files: an htpasswd file, and users.yaml."""

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

import structlog

from authproxy.files.reload import Reloaded
from authproxy.identity.bcrypt_hash import MAX_PASSWORD_BYTES, find_cost, is_cut, is_unprovable
from authproxy.identity.htpasswd import read_htpasswd
from authproxy.identity.passwords import Passwords
from authproxy.identity.source import SourceAnswer
from authproxy.identity.user_entry import UserEntry
from authproxy.identity.users import read_users
from authproxy.log.once import LogOnce
from authproxy.principal import Principal
from authproxy.program import command

log = structlog.get_logger(__name__)

ReadEntries: TypeAlias = Callable[[Path], Mapping[str, UserEntry]]


@dataclass(frozen=True, slots=True)
class _FileUsers:
    """The content of a file, and the principals made of it."""

    entries: Mapping[str, UserEntry]
    costs: tuple[int, ...]
    principals: dict[str, Principal] = field(default_factory=dict)  # of users that were looked up


class FileSource(Reloaded[_FileUsers]):
    """Users of a file that is read whole and replaced in one step.

    `kind` goes into principals and stamps; with `once`, one of several processes warns for all. A user's stamp is a
    keyed hash of name and password entry: it changes with the password, and reveals nothing about it. Raises
    StartError if the file does not load.
    """

    def __init__(
        self,
        kind: str,
        path: Path,
        read: ReadEntries,
        *,
        passwords: Passwords,
        key: bytes,
        once: LogOnce | None = None,
    ) -> None:
        self._once = once or LogOnce()
        self.kind = kind
        self.path = path
        self._read = read
        self._passwords = passwords
        self._key = key
        super().__init__(path)

    def __repr__(self) -> str:
        return f"FileSource({self.kind!r}, {str(self.path)!r})"

    @property
    def costs(self) -> Sequence[int]:
        """See LocalUsers."""
        return self.current.costs

    async def authenticate(self, name: str, password: str, client: str = "") -> Principal | SourceAnswer:
        """See Source."""
        loaded = self.current
        entry = loaded.entries.get(name)
        if entry is None or entry.hashed is None:
            return SourceAnswer.UNKNOWN
        is_right = await self._passwords.verify(name, password, entry.hashed, client)
        if is_cut(password):
            self._warn_of_cut(name, password, is_right=is_right)
        return self._principal(loaded, entry, entry.hashed) if is_right else SourceAnswer.REFUSED

    async def find(self, name: str) -> Principal | None:
        """See Source."""
        loaded = self.current
        entry = loaded.entries.get(name)
        return None if entry is None or entry.hashed is None else self._principal(loaded, entry, entry.hashed)

    def find_entry(self, name: str) -> UserEntry | None:
        """See LocalUsers."""
        return self.current.entries.get(name)

    def _warn_of_cut(self, name: str, password: str, *, is_right: bool) -> None:
        """Warn once for each user that a password is longer than bcrypt reads."""
        if is_right:
            what = f"only the first {MAX_PASSWORD_BYTES} bytes of a password were compared, as bcrypt reads no more"
        elif is_unprovable(password):
            what = (
                f"a password of more than {MAX_PASSWORD_BYTES} bytes was refused: it begins like JSON, a token or a PEM"
                " file, and bcrypt reads only that beginning"
            )
        else:
            return
        if self._once.claim(f"{self.path}: {name}: {what}"):
            log.warning(what, file=str(self.path), user=name, fix=command(f"user password {name}"))

    def _load(self) -> _FileUsers:
        entries = self._read(self.path)
        found = (find_cost(entry.hashed) for entry in entries.values() if entry.hashed is not None)
        return _FileUsers(entries, tuple(sorted(cost for cost in found if cost is not None)))

    def _changed(self) -> None:
        log.info("users reloaded", file=str(self.path), users=len(self.current.entries))

    def _principal(self, loaded: _FileUsers, entry: UserEntry, hashed: str) -> Principal:
        """The user: the same value each time until the file changes."""
        if (known := loaded.principals.get(entry.name)) is not None:
            return known
        stamp = hmac.digest(
            self._key, f"{self.kind}\n{entry.name}\n{hashed}".encode("utf-8", "surrogatepass"), "sha256"
        )
        principal = Principal(
            entry.name, entry.groups, source=self.kind, stamp=stamp[:16].hex(), is_robot=entry.is_robot
        )
        loaded.principals[entry.name] = principal
        return principal


def htpasswd_source(path: Path, *, passwords: Passwords, key: bytes, once: LogOnce | None = None) -> FileSource:
    """The users of an htpasswd file; `once` as for `read_htpasswd`. Raises StartError."""
    return FileSource("htpasswd", path, partial(read_htpasswd, once=once), passwords=passwords, key=key, once=once)


def users_source(path: Path, *, passwords: Passwords, key: bytes, once: LogOnce | None = None) -> FileSource:
    """The users of a users.yaml file. Raises StartError."""
    return FileSource("users", path, read_users, passwords=passwords, key=key, once=once)
