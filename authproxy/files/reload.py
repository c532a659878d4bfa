"""Values that are read from files, and read again when the files change: users, policies, keys, a certificate.

Every file that is watched while the server runs is a `Reloaded`; nothing else detects changes of files. `Watch` calls
`refresh` once a second. See docs/decisions/0032-reload-files-in-one-place.md.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar, Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

from authproxy.errors import StartError

T = TypeVar("T")

Fingerprint: TypeAlias = tuple[tuple[str, int, int, int], ...]


class DoesNotLoad(Exception):
    """The files were read, but their content is malformed. The old content stays in force."""


class Reloadable(Protocol):
    """A value that was read from files and can be read again."""

    part: ClassVar[str]  # its name in the log, the metrics and the readiness: "users"
    takes_access_away: ClassVar[bool]  # True: if it can't be checked, requests are refused: see watcher.MAX_AGE_S

    def refresh(self) -> None:
        """Check whether the files changed; if so, read them and replace the content in one step.

        Runs in a thread. If it raises, the old content stays in force, and the next call tries again: DoesNotLoad for
        files that were read and are malformed, any other exception if their content is unknown.
        """


@runtime_checkable
class LookedAtFirst(Reloadable, Protocol):
    """A value that an answer may rely on only if it was looked at within `fresh_s` seconds; else it waits.

    It isn't read before the first `look`.
    """

    fresh_s: ClassVar[float]
    looked_at: float  # by `uptime_s`: when the last successful look began; -inf before the first one

    async def look(self) -> None:
        """Read it if it has changed. Callers at the same time share a look. Raises what went wrong."""


class Reloaded(ABC, Generic[T]):
    """A value made of `paths`, read at once and again when one of them changes: base class of every `Reloadable`.

    A subclass defines how to load (`_load`) and what to do or log after a change (`_changed`). A lock serializes
    refreshes: the second one waits, and uses what the first one read. A folder among `paths` means its files that match
    `pattern`.

    `begin_with` makes the value that is in force before the first check, which then reads the files in any case.
    """

    wrong_counts_as_unread: ClassVar = False  # True: malformed content may mean anything, and is not DoesNotLoad

    current: T  # the value in force now; it is replaced, never changed

    def __init__(self, *paths: Path, pattern: str = "*", begin_with: Callable[[], T] | None = None) -> None:
        self._paths = paths
        self._pattern = pattern
        self._refreshing = threading.Lock()
        self._seen: object = None
        if begin_with is not None:
            self.current = begin_with()
            return
        # If the first check fails, so does the reading that follows, with the name of the setting in its message.
        with suppress(OSError):
            self._seen = self._look()
        self.current = self._load()

    def refresh(self) -> None:
        """See Reloadable."""
        with self._refreshing:
            seen = self._look()  # before the reading: a change meanwhile shows at the next check
            if seen == self._seen:
                return
            before = self.current
            self.current = self._load() if self.wrong_counts_as_unread else self._load_or_keep()
            self._seen = seen
            if self.current is not before:
                self._changed()

    def _look(self) -> object:
        """The fingerprint of the files, which are read again when it differs. Raises if it is unknown."""
        return fingerprint(*self._paths, pattern=self._pattern)

    @abstractmethod
    def _load(self) -> T:
        """Read the files; returns the same object again if nothing in them changed.

        Raises StartError with the setting and the file. With an OSError as its cause, it means unread, not malformed.
        """

    def _changed(self) -> None:
        """Called after `current` was replaced: log it, and pass it on to where it is needed."""

    def _load_or_keep(self) -> T:
        with loading():
            return self._load()


@contextmanager
def loading() -> Iterator[None]:
    """Around the reading of changed files: turns a StartError into DoesNotLoad unless its cause is an OSError."""
    try:
        yield
    except StartError as exc:
        if isinstance(exc.__cause__, OSError):
            raise
        raise DoesNotLoad(str(exc)) from exc


def fingerprint(*paths: Path, pattern: str = "*") -> Fingerprint:
    """Path, inode, size and time of change of each file.

    A folder means its files that match `pattern`. A missing or inaccessible file is left out, so that its appearance is
    a change. Raises OSError for every other fault: the state is then unknown.
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
