"""Adds, changes and removes users in their files, for the command line and a first start.

A running server notices the change of the files; nothing here talks to one.
"""

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from authproxy.config.document.tree import parse_document
from authproxy.errors import StartError
from authproxy.files.atomic import locked, make_private_folder, read_private, write_private
from authproxy.files.text import without_mark
from authproxy.identity.bcrypt_hash import DEFAULT_COST, MAX_COST, MIN_COST, find_problem, hash_password
from authproxy.identity.htpasswd import Htpasswd, load_htpasswd
from authproxy.identity.names import find_name_problem
from authproxy.identity.user_entry import UserEntry
from authproxy.identity.users import parse_users
from authproxy.identity.users_edit import with_user, without_user
from authproxy.program import command


def add_user(
    htpasswd: Path,
    users: Path | None,
    name: str,
    password: str,
    groups: Iterable[str] = (),
    *,
    expires: dt.datetime | None = None,
    is_robot: bool = False,
    cost: int = DEFAULT_COST,
) -> None:
    """Add a user with a password, groups and an expiry, or a robot. Missing files are made, with mode 0600.

    `users` None: there is no file for anything but the password. Raises StartError if the name is taken or invalid, or
    a file cannot be changed; then the user has not been added.
    """
    wanted = frozenset(groups)
    check_new_user(htpasswd, users, name, wanted, expires, is_robot=is_robot)  # before groups are written
    hashed = _hash(password, cost)
    if users is not None and (wanted or expires is not None or is_robot):

        def extend(entry: UserEntry) -> UserEntry:
            return replace(
                entry,
                groups=entry.groups | wanted,
                expires=expires or entry.expires,
                is_robot=is_robot or entry.is_robot,
            )

        _change_entry(users, name, extend)

    def add(file: Htpasswd) -> Htpasswd:
        if name in file.names:
            raise _taken(name, htpasswd)
        return file.with_entry(name, hashed)

    _change_htpasswd(htpasswd, add)


def check_new_user(
    htpasswd: Path,
    users: Path | None,
    name: str,
    groups: Iterable[str],
    expires: dt.datetime | None = None,
    *,
    is_robot: bool = False,
) -> None:
    """Raise StartError if `add_user` would, whatever the password."""
    if problem := find_name_problem(name):
        raise StartError(problem)
    if users is None and (expires is not None or is_robot or frozenset(groups)):
        raise _no_users_file()
    if name in load_or_empty(htpasswd).names:
        raise _taken(name, htpasswd)


def check_known_user(htpasswd: Path, name: str) -> None:
    """Raise StartError if the file has no such user."""
    if name not in load_or_empty(htpasswd).names:
        raise _unknown(name, htpasswd)


def set_password(htpasswd: Path, name: str, password: str, *, cost: int = DEFAULT_COST) -> tuple[int, ...]:
    """Give a user another password: logins with the old one and all refresh tokens end. Raises StartError.

    Returns the numbers of the lines that had the name: the first has the new password, the others are removed.
    """
    hashed = _hash(password, cost)
    lines: tuple[int, ...] = ()

    def change(file: Htpasswd) -> Htpasswd:
        nonlocal lines
        if name not in file.names:
            raise _unknown(name, htpasswd)
        lines = file.lines_of(name)
        return file.with_entry(name, hashed)

    _change_htpasswd(htpasswd, change)
    return lines


def set_disabled(htpasswd: Path, users: Path | None, name: str, *, disabled: bool) -> None:
    """Disable or enable a user; the password is kept. Raises StartError."""
    _change_known_entry(htpasswd, users, name, lambda entry: replace(entry, disabled=disabled))


def set_expiry(htpasswd: Path, users: Path | None, name: str, expires: dt.datetime | None) -> None:
    """Set the time at which a user expires; None: never. Raises StartError."""
    _change_known_entry(htpasswd, users, name, lambda entry: replace(entry, expires=expires))


def remove_user(htpasswd: Path, users: Path | None, name: str) -> tuple[int, ...]:
    """Remove a user from both files, and return the line numbers in htpasswd. Raises StartError if neither has it."""
    lines: tuple[int, ...] = ()
    if name not in load_or_empty(htpasswd).names and name not in read_groups(users):
        raise StartError(f"there is no user {name} in {htpasswd}; see: {command('user list')}")
    if htpasswd.exists():

        def change(file: Htpasswd) -> Htpasswd:
            nonlocal lines
            lines = file.lines_of(name)
            return file.without(name)

        _change_htpasswd(htpasswd, change)
    if users is not None and users.exists():
        _change_users(users, lambda text: without_user(text, name, str(users)))
    return lines


def load_or_empty(htpasswd: Path) -> Htpasswd:
    """The file, or an empty one if it does not exist yet. Raises StartError if it cannot be read."""
    return load_htpasswd(htpasswd) if htpasswd.exists() else Htpasswd()


def read_groups(users: Path | None) -> dict[str, UserEntry]:
    """The entries of a users file by name; empty if there is no file. Raises StartError if it cannot be read."""
    if users is None or not users.exists():
        return {}
    return dict(parse_users(parse_document(_read_text(users), str(users))))


def _change_known_entry(
    htpasswd: Path, users: Path | None, name: str, change: Callable[[UserEntry], UserEntry]
) -> None:
    if users is None:
        raise _no_users_file()
    if name not in load_or_empty(htpasswd).names and name not in read_groups(users):
        raise _unknown(name, htpasswd)
    _change_entry(users, name, change)


def _change_entry(users: Path, name: str, change: Callable[[UserEntry], UserEntry]) -> None:
    def edit(text: str) -> str:
        entry = parse_users(parse_document(text, str(users))).get(name, UserEntry(name))
        return with_user(text, change(entry), str(users))

    _change_users(users, edit)


def _hash(password: str, cost: int) -> str:
    if not MIN_COST <= cost <= MAX_COST:
        raise StartError(f"a bcrypt cost of {cost} is out of range; choose {MIN_COST} to {MAX_COST}")
    if problem := find_problem(password):
        raise StartError(problem)
    return hash_password(password, cost)


def _no_users_file() -> StartError:
    return StartError(
        "no users file is configured for groups, disabled, expires and robots;"
        " add to identities: - users: {path: users.yaml}"
    )


def _unknown(name: str, htpasswd: Path) -> StartError:
    return StartError(f"there is no user {name} in {htpasswd}; add it: {command(f'user add {name}')}")


def _taken(name: str, htpasswd: Path) -> StartError:
    return StartError(f"the user {name} already exists in {htpasswd}; change it: {command(f'user password {name}')}")


def _change_htpasswd(path: Path, change: Callable[[Htpasswd], Htpasswd]) -> None:
    def rewrite() -> bytes:
        return change(load_or_empty(path)).encode()

    _rewrite(path, rewrite)


def _change_users(path: Path, change: Callable[[str], str]) -> None:
    def rewrite() -> bytes:
        return change(_read_text(path) if path.exists() else "").encode()

    _rewrite(path, rewrite)


def _rewrite(path: Path, rewrite: Callable[[], bytes]) -> None:
    """Read, change and replace a file under its lock."""
    try:
        make_private_folder(path.parent)
        with locked(path):
            write_private(path, rewrite())
    except OSError as exc:
        raise StartError(f"cannot change {path}: {exc.strerror}; run this as the files' owner") from exc


def _read_text(path: Path) -> str:
    try:
        return without_mark(read_private(path), str(path)).decode()
    except (OSError, UnicodeDecodeError) as exc:
        raise StartError(f"cannot read {path}: {exc}; it must be a readable text file in UTF-8") from exc
