"""Can a user log in: the files of users and passwords, read as the server reads them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from authproxy.config.sections.identities import Identity
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.machine.files import find_closed, find_read_fault
from authproxy.doctor.machine.installation import Installation
from authproxy.errors import StartError
from authproxy.identity.htpasswd import load_htpasswd
from authproxy.identity.user_entry import UserEntry
from authproxy.identity.users import read_users
from authproxy.program import command


@dataclass(slots=True)
class KnownUsers:
    """The users of all files. Not `is_known`: one of the files cannot be read."""

    names: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    robots: set[str] = field(default_factory=set)
    able: set[str] = field(default_factory=set)  # have a password
    shut_out: set[str] = field(default_factory=set)
    is_known: bool = True

    def add(self, entries: Mapping[str, UserEntry], now: float) -> None:
        """Add the users of a file."""
        for name, entry in entries.items():
            self.names.add(name)
            self.groups |= entry.groups
            if entry.is_robot:
                self.robots.add(name)
            if entry.hashed is not None:
                self.able.add(name)
            if entry.is_shut_out(now):
                self.shut_out.add(name)


def check_users(installation: Installation, users: KnownUsers) -> Iterator[Finding]:
    """Check the files, and add their users to `users`."""
    settings = installation.settings
    if not settings.sources:
        return
    # CNCF Distribution creates a missing file of this section, and so do we.
    provided = settings.auth.htpasswd.path if settings.auth is not None and settings.auth.htpasswd is not None else None
    for source in settings.sources:
        yield from _read(installation, source, users, provided)
    able = users.able - users.shut_out
    if users.is_known and not able:
        what = "no user can log in: none has a bcrypt password, or all are disabled or expired"
        yield Finding(Level.FAILED, "users", what, f"{command('user add NAME')}, or: htpasswd -B FILE NAME")
    elif users.is_known:
        yield Finding(Level.OK, "users", f"{len(able)} can log in")


def _files_of(installation: Installation, source: Identity) -> Iterator[tuple[str, Path]]:
    """The keys of a source's files, and the files."""
    if source.users is not None:
        yield "identities", source.users.path
    if source.htpasswd is not None:
        auth = installation.settings.auth
        is_theirs = auth is not None and auth.htpasswd is not None and auth.htpasswd.path == source.htpasswd.path
        yield ("auth.htpasswd.path" if is_theirs else "identities"), source.htpasswd.path


def _read(installation: Installation, source: Identity, users: KnownUsers, provided: Path | None) -> Iterator[Finding]:
    for key, path in _files_of(installation, source):
        if find_closed(path) is not None and (fault := find_read_fault(installation, key, path)) is not None:
            users.is_known = False
            yield fault
            return
    try:
        if source.users is not None:
            users.add(read_users(source.users.path), installation.now)
        if source.htpasswd is None:
            return
        path = source.htpasswd.path
        if path == provided and not path.exists():
            users.is_known = False
            yield Finding(
                Level.WARNING, "users", f"there is no {path} yet; the start creates it, with one user `docker`"
            )
            return
        file = load_htpasswd(path)
    except StartError as error:
        users.is_known = False
        what, _, fix = str(error).partition("; ")
        key, _ = next(_files_of(installation, source))
        yield Finding(
            Level.FAILED, "users", what, fix or f"{installation.place(key)}: correct it; see authproxy user --help"
        )
        return
    users.add(file.entries, installation.now)
    for remark in file.remarks():
        yield Finding(Level.WARNING, "users", f"{path}: {remark}", remark.fix)
