"""Sorted listings of folders, cached for as long as the folder's stamp is unchanged.

Any process or program that adds or removes an entry changes the folder's inode, time of change or both: so a listing is
compared with the folder on every use and is right at once, for every worker. Reasons and cost:
docs/decisions/0013-remember-folder-listings-by-their-stamp.md.

The stamps are no finer than the kernel's clock tick, so a folder that has just changed may change again and look the
same. A listing taken so soon after a change is for those who were waiting for it, and is not cached.
"""

import asyncio
import os
import time
from bisect import bisect_right, insort
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from authproxy.bounded_cache import Bounded
from authproxy.storage.driver import NotFound
from authproxy.storage.filesystem.nonblocking import NotCached, stat_folder_cached
from authproxy.storage.filesystem.thread_pool import ThreadPool

# A change is certain to show if it is this long after the one before, in nanoseconds. Linux stamps files by its tick,
# at most 10 ms.
SETTLES_AFTER_NS = 50_000_000

# The same for file systems without fractions of a second, FAT's two seconds included.
SETTLES_AFTER_COARSE_NS = 2_100_000_000

# The most that all listings of a driver may take. Measured: 32 MiB hold 100,000 tags five times over.
MAX_BYTES = 32 * 1024 * 1024

# Up to this many new names are inserted one by one; more, and all are sorted. Measured with 100,000 names.
MAX_INSERTED = 200

# Estimated, in bytes: a listing without its names, and a name without its letters (a str, and its place in the list).
_LISTING_BYTES = 500
_NAME_BYTES = 57


class Stamp(NamedTuple):
    """The inode and times of a folder, which change when its entries do."""

    inode: int
    modified_ns: int
    changed_ns: int  # unlike `modified_ns` it can't be set back

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        """The stamp of a folder."""
        return cls(status.st_ino, status.st_mtime_ns, status.st_ctime_ns)

    def is_settled(self, now_ns: int) -> bool:
        """Whether any change from `now_ns` on is certain to change the stamp."""
        last = max(self.modified_ns, self.changed_ns)
        is_coarse = self.changed_ns % 1_000_000_000 == 0
        return now_ns - last >= (SETTLES_AFTER_COARSE_NS if is_coarse else SETTLES_AFTER_NS)


@dataclass(frozen=True, slots=True)
class Listing:
    """The names in a folder, in order, as they were when it had `stamp`."""

    stamp: Stamp
    names: list[str]
    is_settled: bool  # right for as long as the folder has this stamp
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Scan:
    number: int
    done: asyncio.Future[Listing | None]


class FolderLists:
    """The listings of a driver's folders: those used last, up to `max_bytes` (estimated) in all.

    `now_ns` is the clock of the file system's stamps. A file server whose clock is behind ours by more than
    SETTLES_AFTER_NS would make recent changes look old: synchronize both.
    """

    def __init__(
        self, workers: ThreadPool, *, max_bytes: int = MAX_BYTES, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._workers = workers
        self._now_ns = now_ns
        self._kept: Bounded[str, Listing] = Bounded(max_bytes)  # the one used longest ago goes first
        self._scans: dict[str, _Scan] = {}  # under way: one for each folder
        self._begun = 0

    async def names(self, folder: str, after: str, limit: int) -> list[str]:
        """The names in a folder that are greater than `after`, at most `limit`, in order; none where it is missing.

        Without names with a leading dot. Does not suspend where the kernel has the folder's stamp in memory and the
        listing is still right.
        """
        names = self._find_current(folder)
        if names is None:
            names = await self._scan(folder)
        first = bisect_right(names, after) if after else 0
        return names[first : first + limit]

    def _find_current(self, folder: str) -> list[str] | None:
        """The names, if they are known to be right now; None where that takes a scan."""
        try:
            stamp = Stamp.of(stat_folder_cached(folder))
        except NotFound:
            self._kept.pop(folder)
            return []
        except NotCached:
            return None
        kept = self._kept.get(folder)
        if kept is None or kept.stamp != stamp:
            return None
        self._kept.touch(folder)
        return kept.names

    async def _scan(self, folder: str) -> list[str]:
        """The names by a scan that began after this call, or as cached by an earlier one if they are right.

        All callers that wait for a folder share the next scan: one runs at a time.
        """
        begun_before = self._begun
        while True:
            scan = self._scans.get(folder) or self._begin(folder)
            await asyncio.wait([scan.done])
            if scan.number > begun_before:
                listing = scan.done.result()
                return listing.names if listing is not None else []
            names = self._find_current(folder)
            if names is not None:
                return names

    def _begin(self, folder: str) -> _Scan:
        self._begun += 1
        done = self._workers.submit(partial(scan_folder, folder, self._kept.get(folder), self._now_ns))
        scan = self._scans[folder] = _Scan(self._begun, done)
        done.add_done_callback(partial(self._finish, folder))  # first, so that those who wait find what it caches
        return scan

    def _finish(self, folder: str, done: asyncio.Future[Listing | None]) -> None:
        del self._scans[folder]
        self._kept.pop(folder)
        if done.cancelled() or done.exception() is not None:
            return
        listing = done.result()
        if listing is not None and listing.is_settled:
            self._kept.put(folder, listing, listing.size_bytes)


def scan_folder(folder: str, kept: Listing | None, now_ns: Callable[[], int]) -> Listing | None:
    """List a folder, unless `kept` is still right. None where there is no such folder. Blocks: for a thread."""
    try:
        # In this order: a change from here on is either in the names, or changes the stamp.
        now = now_ns()
        stamp = Stamp.of(os.stat(folder))
        if kept is not None and kept.stamp == stamp:
            return kept
        present = set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return None
    names = _sorted(present, kept.names if kept is not None else [])
    size_bytes = _LISTING_BYTES + len(names) * _NAME_BYTES + len("".join(names))
    return Listing(stamp, names, stamp.is_settled(now), size_bytes)


def _sorted(present: set[str], before: list[str]) -> list[str]:
    """The names to list, in order. Mostly few have changed, and inserting these is much quicker than sorting all.

    A leading dot marks incomplete or foreign files; no repository and no tag begins with one.
    """
    added = [name for name in present.difference(before) if not name.startswith(".")]
    if len(added) > MAX_INSERTED:
        return sorted(name for name in present if not name.startswith("."))
    names = [name for name in before if name in present]
    for name in added:
        insort(names, name)
    return names
