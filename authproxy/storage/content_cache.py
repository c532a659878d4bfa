"""Small contents read before: links, manifests, configurations. Bounded, and never older than they may be."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from authproxy.bounded_cache import Bounded
from authproxy.clock import Clock
from authproxy.storage.change_marks import ChangeMarks
from authproxy.storage.driver import IsCurrent

# All that is remembered, in bytes, each entry with about as much as Python needs for it; and the largest single one.
MAX_BYTES = 64 * 1024 * 1024
MAX_ENTRY_BYTES = 1024 * 1024
ENTRY_BYTES = 500

# How long a folder is taken to be unchanged, in seconds. Who looked at it may have remembered a part for as long.
FOLDER_S = 1.0


class _CachedContent(NamedTuple):
    mark: int
    until: float
    content: bytes


class ContentCache:
    """The contents of paths, as long as nobody of ours has changed them, and for `foreign_s` seconds at most."""

    def __init__(self, changes: ChangeMarks, *, foreign_s: float, now: Clock, max_bytes: int = MAX_BYTES) -> None:
        self._changes = changes
        self._foreign_s = foreign_s
        self._now = now
        self._entries: Bounded[str, _CachedContent] = Bounded(max_bytes)  # the one read longest ago goes first

    def find(self, path: str) -> bytes | None:
        """What is remembered and still right."""
        entry = self._entries.get(path)
        if entry is not None and entry.mark == self._changes.mark(path) and self._now() < entry.until:
            return entry.content
        return None

    def read(self, path: str, read: Callable[[str], bytes | None]) -> bytes | None:
        """What `read` brings, remembered. What is not there is not."""
        mark = self._changes.mark(path)  # before it is read: a change in between shows
        content = read(path)
        if content is None or len(content) > MAX_ENTRY_BYTES:
            self._entries.pop(path)
        else:
            entry = _CachedContent(mark, self._now() + self._foreign_s, content)
            self._entries.put(path, entry, ENTRY_BYTES + len(content))
        return content

    def content_check(self, contents: Sequence[tuple[str, bytes]]) -> IsCurrent | None:
        """A test whether all these contents are remembered as they are now. None: not even now."""
        marks: list[tuple[int, int]] = []
        until = math.inf
        for path, content in contents:
            entry = self._entries.get(path)
            if entry is None or entry.content != content:
                return None
            marks.append((self._changes.place(path), entry.mark))
            until = min(until, entry.until)
        now, current = self._now, self._changes.marks

        def test() -> bool:
            for place, mark in marks:
                if current[place] != mark:
                    return False
            return now() < until

        return test

    def folder_check(self, folder: str) -> IsCurrent:
        """A test whether nobody of ours has changed anything in a folder from now on, for FOLDER_S."""
        place, now, marks = self._changes.place(folder), self._now, self._changes.marks
        mark, until = marks[place], self._now() + FOLDER_S
        return lambda: marks[place] == mark and now() < until
