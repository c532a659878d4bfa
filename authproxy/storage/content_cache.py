"""A cache of small contents: links, manifests, configurations. Bounded in size, and in age."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from authproxy.bounded_cache import Bounded
from authproxy.clock import Clock
from authproxy.storage.change_marks import ChangeMarks
from authproxy.storage.driver import IsCurrent

# In bytes: the whole cache, the largest content in it, and about what Python needs for an entry besides the content.
MAX_BYTES = 64 * 1024 * 1024
MAX_ENTRY_BYTES = 1024 * 1024
ENTRY_BYTES = 500

# How long a folder is taken to be unchanged, in seconds. A reader of it may have cached a part for as long.
FOLDER_S = 1.0


class _CachedContent(NamedTuple):
    mark: int
    until: float
    content: bytes


class ContentCache:
    """The contents of paths, until a process of ours changes them, and for `foreign_s` seconds at most."""

    def __init__(self, changes: ChangeMarks, *, foreign_s: float, now: Clock, max_bytes: int = MAX_BYTES) -> None:
        self._changes = changes
        self._foreign_s = foreign_s
        self._now = now
        self._entries: Bounded[str, _CachedContent] = Bounded(max_bytes)  # the one read longest ago goes first

    def find(self, path: str) -> bytes | None:
        """The cached content, if it is still right."""
        entry = self._entries.get(path)
        if entry is not None and entry.mark == self._changes.mark(path) and self._now() < entry.until:
            return entry.content
        return None

    def read(self, path: str, read: Callable[[str], bytes | None]) -> bytes | None:
        """Read and cache. None (there is no content) is not cached."""
        mark = self._changes.mark(path)  # before reading, so that a change in between shows
        content = read(path)
        if content is None or len(content) > MAX_ENTRY_BYTES:
            self._entries.pop(path)
        else:
            entry = _CachedContent(mark, self._now() + self._foreign_s, content)
            self._entries.put(path, entry, ENTRY_BYTES + len(content))
        return content

    def content_check(self, contents: Sequence[tuple[str, bytes]]) -> IsCurrent | None:
        """A test whether all these contents are still cached and right. None: they aren't cached now."""
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
        """A test, for FOLDER_S, whether no process of ours has changed anything in a folder from now on."""
        place, now, marks = self._changes.place(folder), self._now, self._changes.marks
        mark, until = marks[place], self._now() + FOLDER_S
        return lambda: marks[place] == mark and now() < until
