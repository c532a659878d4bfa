"""htpasswd files: `name:hash` or `name:hash:comment`, one user a line, bcrypt only (as CNCF Distribution reads them).

Comments, empty lines and entries of other schemes are kept in place. Of several lines with one name the first counts,
as for Apache httpd and nginx; CNCF Distribution takes the last. A comment after the hash is nginx's
(ngx_http_auth_basic_module, "auth_basic_user_file").
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import structlog

from authproxy.errors import StartError
from authproxy.files.atomic import locked, make_private_folder, read_private, write_private
from authproxy.files.text import without_mark
from authproxy.identity.bcrypt_hash import find_cost, hash_password
from authproxy.identity.user_entry import UserEntry
from authproxy.log.once import LogOnce
from authproxy.program import command

log = structlog.get_logger(__name__)

# The user that CNCF Distribution makes if the configured file is missing.
PROVISIONED_USER = "docker"


class Remark(NamedTuple):
    """Something in a file that an operator should know, and what to do about it."""

    what: str
    users: str  # their names, with the lines if that helps
    fix: str

    def __str__(self) -> str:
        return f"{self.what}: {self.users}"


@dataclass(frozen=True, slots=True)
class Htpasswd:
    """The lines of a file, without line breaks; bytes that are not UTF-8 are kept as surrogates."""

    lines: tuple[str, ...] = ()

    @classmethod
    def parse(cls, content: bytes) -> "Htpasswd":
        """Read a file's content. Nothing is refused: `unusable` lists the entries that can't be used."""
        return cls(tuple(content.decode("utf-8", "surrogateescape").split("\n")))

    def encode(self) -> bytes:
        """The file's content; unless empty, it ends with a line break."""
        text = "\n".join(self.lines)
        return (text if text.endswith("\n") or not text else text + "\n").encode("utf-8", "surrogateescape")

    @property
    def entries(self) -> Mapping[str, UserEntry]:
        """The users that can log in, by name."""
        found: dict[str, UserEntry] = {}
        for name, numbers in self._lines_by_name().items():
            hashed = _split(self.lines[numbers[0] - 1])[1]  # the first counts, even if it cannot be used
            if find_cost(hashed) is not None:
                found[name] = UserEntry(name, hashed)
        return MappingProxyType(found)

    @property
    def repeated(self) -> Mapping[str, tuple[int, ...]]:
        """Names that are in several lines, with the numbers of these lines from 1: the first of them counts."""
        found = self._lines_by_name().items()
        return MappingProxyType({name: tuple(numbers) for name, numbers in found if len(numbers) > 1})

    @property
    def unusable(self) -> tuple[str, ...]:
        """Names of entries with which no user can log in; `line 3` for an entry without a name."""
        usable = self.entries
        found: dict[str, None] = {}
        for number, line in enumerate(self.lines, 1):
            name, _ = _split(line)
            if _is_entry(line) and name not in usable:
                found[name or f"line {number}"] = None
        return tuple(found)

    @property
    def names(self) -> frozenset[str]:
        """All names, of users that can log in and of those that can't."""
        return frozenset(name for line in self.lines if (name := _split(line)[0]))

    def lines_of(self, name: str) -> tuple[int, ...]:
        """The numbers, from 1, of the lines with this name."""
        return tuple(self._lines_by_name().get(name, ()))

    def remarks(self) -> Iterator[Remark]:
        """Which users can't log in, and which lines do not count."""
        if self.unusable:
            yield Remark(
                "entries without a bcrypt hash cannot log in",
                ", ".join(self.unusable),
                f"{command('user password NAME')}, or: htpasswd -B FILE NAME",
            )
        yield from self.remarks_on_repeated()

    def remarks_on_repeated(self) -> Iterator[Remark]:
        """The remark on names in several lines, if there are any."""
        if self.repeated:
            yield Remark(
                "names that are in several lines: the first one counts",
                ", ".join(f"{name} (lines {listed(numbers)})" for name, numbers in self.repeated.items()),
                f"remove the wrong lines, or: {command('user password NAME')}, which leaves one",
            )

    def with_entry(self, name: str, hashed: str) -> "Htpasswd":
        """The same file with this user's hash: in the user's first line, or at the end.

        A comment after the hash is kept. Other lines of the user are removed, so that no old password counts again.
        """
        placed, lines = False, []
        for old in self.lines:
            if _split(old)[0] != name:
                lines.append(old)
            elif not placed:
                lines.append(f"{name}:{hashed}{_behind_hash(old)}")
                placed = True
        if not placed:
            if lines and not lines[-1]:  # the empty rest after the last line break
                lines.pop()
            lines.append(f"{name}:{hashed}")
        return replace(self, lines=tuple(lines))

    def without(self, name: str) -> "Htpasswd":
        """The same file without this user's lines."""
        return replace(self, lines=tuple(line for line in self.lines if _split(line)[0] != name))

    def _lines_by_name(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number, line in enumerate(self.lines, 1):
            if name := _split(line)[0]:
                found.setdefault(name, []).append(number)
        return found


def read_htpasswd(path: Path, *, once: LogOnce | None = None) -> Mapping[str, UserEntry]:
    """The users of a file. Raises StartError if it cannot be read.

    Logs a warning for each of its remarks: at every reading, or with `once` only if the remark has changed.
    """
    file = load_htpasswd(path)
    for remark in file.remarks():
        if once is None or once.claim(f"{path}: {remark}"):
            log.warning(remark.what, file=str(path), users=remark.users, fix=remark.fix)
    return file.entries


def load_htpasswd(path: Path) -> Htpasswd:
    """Read a file, with all its lines. Raises StartError if it cannot be read, or is UTF-16."""
    try:
        return Htpasswd.parse(without_mark(read_private(path), str(path)))
    except FileNotFoundError as exc:
        raise StartError(f"the htpasswd file {path} does not exist; make it: {command('user add NAME')}") from exc
    except IsADirectoryError as exc:
        raise StartError(f"the htpasswd file {path} is a folder; name a file as auth.htpasswd.path") from exc
    except OSError as exc:
        raise StartError(f"cannot read the htpasswd file {path}: {exc.strerror}; check its permissions") from exc


def provision_htpasswd(path: Path) -> bool:
    """Make a missing file as CNCF Distribution does: one user `docker`, whose random password goes to the log.

    Returns whether it was made. Of several processes that start at once, one makes it. Raises StartError.
    """
    if path.exists():
        return False
    password = secrets.token_urlsafe(24)
    # Before the lock, in which root may act as another account: the first hash loads bcrypt, which that account may not
    # be able to read.
    hashed = hash_password(password)
    try:
        make_private_folder(path.parent)
        with locked(path):
            if path.exists():
                return False
            write_private(path, Htpasswd().with_entry(PROVISIONED_USER, hashed).encode())
    except OSError as exc:
        raise StartError(f"cannot make the htpasswd file {path}: {exc.strerror}; create it yourself") from exc
    log.warning(
        "the htpasswd file was missing: made one user", file=str(path), user=PROVISIONED_USER, password=password
    )
    return True


def _is_entry(line: str) -> bool:
    stripped = line.strip()
    return bool(stripped) and not stripped.startswith("#")


def _split(line: str) -> tuple[str, str]:
    """Name and hash of a line; no name in a comment, an empty line, or one without a colon."""
    if not _is_entry(line):
        return "", ""
    name, colon, rest = line.strip().partition(":")
    return (name, rest.partition(":")[0].strip()) if colon else ("", "")


def _behind_hash(line: str) -> str:
    """The rest of an entry after its hash: its comment with the colon, and a carriage return."""
    _, _, rest = line.partition(":")
    hashed, colon, comment = rest.partition(":")
    return f"{colon}{comment}" if colon else hashed[len(hashed.rstrip()) :]


def listed(numbers: Sequence[int]) -> str:
    """Numbers for a sentence: `3`, `3 and 5`, `3, 5 and 9`."""
    *others, last = map(str, numbers)
    return f"{', '.join(others)} and {last}" if others else last
