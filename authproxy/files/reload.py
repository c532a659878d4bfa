"""Values that are read from files, and read again when the files change: users, policies, keys, a certificate.

Every file that is followed while the server runs is a `Reloaded`; nothing else compares what files look like. `Watch`
calls `refresh` once a second. See docs/decisions/0032-reload-files-in-one-place.md.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar, Generic, Protocol, TypeAlias, TypeVar

from authproxy.errors import StartError

T = TypeVar("T")

Fingerprint: TypeAlias = tuple[tuple[str, int, int, int], ...]


class DoesNotLoad(Exception):
    """The files were read, and their content is wrong. The old content stays in force."""


class Reloadable(Protocol):
    """A value that was read from files and can be read again."""

    part: ClassVar[str]  # its name in the log, the metrics and the readiness: "users"
    takes_access_away: ClassVar[bool]  # nobody is served while it cannot be looked at: see watcher.MAX_AGE_S

    def refresh(self) -> None:
        """Look whether the files changed; if so, read them and swap the new content in, in one step.

        Runs in a thread. If it raises, the old content stays in force, and the next call tries again: DoesNotLoad for
        files that were read and are wrong, any other exception if it is unknown what they hold.
        """


class Reloaded(ABC, Generic[T]):
    """A value made of `paths`, read at once and again when one of them changes: base class of every `Reloadable`.

    A subclass says how to load (`_load`) and what to do or log after a change (`_changed`). One lock serves all: of two
    refreshes at once the second waits, and sees what the first one read. A folder among `paths` stands for its files
    that match `pattern`.

    `begin_with` makes the value that is in force before the first look, which then reads the files in any case.
    """

    wrong_counts_as_unread: ClassVar = False  # True: content that is wrong may mean anything, so it is no DoesNotLoad

    current: T  # in force now; a reference to it stays consistent

    def __init__(self, *paths: Path, pattern: str = "*", begin_with: Callable[[], T] | None = None) -> None:
        self._paths = paths
        self._pattern = pattern
        self._refreshing = threading.Lock()
        self._seen: object = None
        if begin_with is not None:
            self.current = begin_with()
            return
        # If the first look fails, so does the reading that follows, with the name of the setting in its message.
        with suppress(OSError):
            self._seen = self._look()
        self.current = self._load()

    def refresh(self) -> None:
        """See Reloadable."""
        with self._refreshing:
            seen = self._look()  # before the reading: a change meanwhile shows at the next look
            if seen == self._seen:
                return
            before = self.current
            self.current = self._load() if self.wrong_counts_as_unread else self._load_or_keep()
            self._seen = seen
            if self.current is not before:
                self._changed()

    def _look(self) -> object:
        """What the files look like from outside: read again when it differs. Raises where that is unknown."""
        return fingerprint(*self._paths, pattern=self._pattern)

    @abstractmethod
    def _load(self) -> T:
        """Read the files; the same object again if nothing in them changed.

        Raises StartError that names the setting and the file. One with an OSError as its cause means unread, not wrong.
        """

    def _changed(self) -> None:
        """Another value is `current`: log it, and hand it on where it is needed."""

    def _load_or_keep(self) -> T:
        with loading():
            return self._load()


@contextmanager
def loading() -> Iterator[None]:
    """Around the reading of changed files: a StartError becomes DoesNotLoad unless the system is its cause."""
    try:
        yield
    except StartError as exc:
        if isinstance(exc.__cause__, OSError):
            raise
        raise DoesNotLoad(str(exc)) from exc


def fingerprint(*paths: Path, pattern: str = "*") -> Fingerprint:
    """What files look like from outside: path, inode, size and time of change of each.

    A folder stands for its files that match `pattern`. What is missing or may not be looked at is left out, so that
    its appearing shows. Raises OSError for every other fault: then nothing is known.
    """
    seen: list[tuple[str, int, int, int]] = []
    for path in _files(paths, pattern):
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        seen.append((str(path), status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(seen)


def _files(paths: Iterable[Path], pattern: str) -> Iterable[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(path.glob(pattern))
        else:
            yield path
