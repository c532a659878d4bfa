"""htpasswd files: `name:hash`, one user a line, bcrypt alone (as CNCF Distribution reads them).

Comments, empty lines and entries of other schemes are kept where they stand. Of two lines with one name the last
counts, as in CNCF Distribution.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import structlog

from authproxy.errors import StartError
from authproxy.identity.bcrypt_hash import find_cost, hash_password
from authproxy.identity.entry import Entry
from authproxy.once import Once
from authproxy.private_file import locked, make_private_folder, read_private, write_private

log = structlog.get_logger(__name__)

# The user that CNCF Distribution makes where the configured file is missing.
PROVISIONED_USER = "docker"


@dataclass(frozen=True, slots=True)
class Htpasswd:
    """The lines of a file, without their ends; what is no text in UTF-8 is kept as surrogates."""

    lines: tuple[str, ...] = ()

    @classmethod
    def parse(cls, content: bytes) -> "Htpasswd":
        """Read a file's content. Nothing is refused: what cannot be used is found by `unusable`."""
        return cls(tuple(content.decode("utf-8", "surrogateescape").split("\n")))

    def encode(self) -> bytes:
        """The file's content; it ends with a line break."""
        text = "\n".join(self.lines)
        return (text if text.endswith("\n") or not text else text + "\n").encode("utf-8", "surrogateescape")

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The users that can log in, by name."""
        found: dict[str, Entry] = {}
        for line in self.lines:
            name, hashed = _split(line)
            if name:
                found.pop(name, None)  # the last line of a name counts, even where it cannot be used
                if find_cost(hashed) is not None:
                    found[name] = Entry(name, hashed)
        return MappingProxyType(found)

    @property
    def unusable(self) -> tuple[str, ...]:
        """Names (or `line 3`, where there is none) of entries that nobody can log in with."""
        usable = self.entries
        found: dict[str, None] = {}
        for number, line in enumerate(self.lines, 1):
            name, _ = _split(line)
            if _is_entry(line) and name not in usable:
                found[name or f"line {number}"] = None
        return tuple(found)

    @property
    def names(self) -> frozenset[str]:
        """All names, of users that can log in and of those that cannot."""
        return frozenset(name for line in self.lines if (name := _split(line)[0]))

    def with_entry(self, name: str, hashed: str) -> "Htpasswd":
        """The same file with this user's hash: in the place of the user's first line, or at the end."""
        line, placed, lines = f"{name}:{hashed}", False, []
        for old in self.lines:
            if _split(old)[0] != name:
                lines.append(old)
            elif not placed:
                lines.append(line)
                placed = True
        if not placed:
            if lines and not lines[-1]:  # what stands behind the last line break
                lines.pop()
            lines.append(line)
        return replace(self, lines=tuple(lines))

    def without(self, name: str) -> "Htpasswd":
        """The same file without this user's lines."""
        return replace(self, lines=tuple(line for line in self.lines if _split(line)[0] != name))


def read_htpasswd(path: Path, *, once: Once | None = None) -> Mapping[str, Entry]:
    """The users of a file. Raises StartError where it cannot be read.

    One warning names those that cannot log in: at every reading, or with `once` when there are others than before.
    """
    file = load_htpasswd(path)
    if file.unusable and (once is None or once.is_first(f"cannot log in: {path}: {file.unusable}")):
        log.warning(
            "htpasswd entries without a bcrypt hash cannot log in; set their passwords anew",
            file=str(path),
            users=", ".join(file.unusable),
            fix="authproxy user password NAME, or: htpasswd -B FILE NAME",
        )
    return file.entries


def load_htpasswd(path: Path) -> Htpasswd:
    """A file as it is. Raises StartError where it cannot be read."""
    try:
        return Htpasswd.parse(read_private(path))
    except FileNotFoundError as exc:
        raise StartError(f"the htpasswd file {path} does not exist; make it: authproxy user add NAME") from exc
    except IsADirectoryError as exc:
        raise StartError(f"the htpasswd file {path} is a folder; name a file as auth.htpasswd.path") from exc
    except OSError as exc:
        raise StartError(f"cannot read the htpasswd file {path}: {exc.strerror}; check its permissions") from exc


def provision_htpasswd(path: Path) -> bool:
    """Make a missing file as CNCF Distribution does: one user `docker`, whose random password goes to the log.

    Whether it was made. Of several processes that start at once, one makes it. Raises StartError.
    """
    if path.exists():
        return False
    try:
        make_private_folder(path.parent)
        with locked(path):
            if path.exists():
                return False
            password = secrets.token_urlsafe(24)
            write_private(path, Htpasswd().with_entry(PROVISIONED_USER, hash_password(password)).encode())
    except OSError as exc:
        raise StartError(f"cannot make the htpasswd file {path}: {exc.strerror}; make it yourself") from exc
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
    name, colon, hashed = line.strip().partition(":")
    return (name, hashed.strip()) if colon else ("", "")
