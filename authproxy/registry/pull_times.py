"""When manifests were pulled last, read from the storage: shards, and the segments that are not merged into them yet.

No answer is earlier than the truth, except for the pulls of the last minute, which processes still collect. Where
records are missing, everything counts as pulled: until records began; until a process that was killed was found to be
dead; while a record can't be read. See docs/decisions/0074-record-pulls-by-the-minute.md.
"""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import NamedTuple, Self

from authproxy.clock import Clock
from authproxy.digest import Digest
from authproxy.reference import Repository, Tag
from authproxy.registry.pull_segments import (
    MAX_TIME,
    WHOLE,
    Latest,
    Segment,
    Shard,
    merge_into,
    parse_segment,
    parse_shard,
)
from authproxy.storage import state_layout
from authproxy.storage.driver import Driver, list_all
from authproxy.storage.layout import StorePath
from authproxy.storage.records import RecordUnreadable, parse

# Segments that are read at once.
BATCH = 16


class Pull(NamedTuple):
    """A recorded pull, to the minute. `by` is the subject; "" anonymous, None not recorded."""

    at: datetime
    by: str | None


class PullTimes:
    """The pull times of one storage, as they were when it was loaded. Writes nothing."""

    def __init__(self, driver: Driver, began: int | None, unknown_until: int, recent: dict[Repository, Latest]) -> None:
        self._driver = driver
        self._began = began
        self._unknown_until = unknown_until
        self._recent = recent
        self._last: tuple[Repository, _Known] | None = None  # repositories are asked for one after the other

    @classmethod
    async def load(cls, driver: Driver, *, now: Clock = time.time) -> Self:
        """Read what is not merged yet. Raises the storage's errors."""
        at, unknown = int(now()) + 1, 0
        # In this order: each is removed only when what comes after it here has its content.
        async for writers in list_all(driver, state_layout.pull_writers()):
            if any(is_dead(driver, writer) for writer in writers):
                unknown = at
        recent: dict[Repository, Latest] = {}
        async for _, segment in segments(driver):
            if segment is None or segment.is_all:
                unknown = max(unknown, at if segment is None else segment.to)
            for repository, pulls in () if segment is None else segment.pulls.items():
                merge_into(recent.setdefault(repository, {}), pulls)
        began, _ = await _read_number(driver, state_layout.pulls_began(), "at")
        merged, is_damaged = await _read_number(driver, state_layout.pulls_merged(), "all")
        return cls(driver, began, max(unknown, at if is_damaged else merged or 0), recent)

    def records_began(self) -> datetime | None:
        """When the first pull could have been recorded. None: no pulls are recorded."""
        return None if self._began is None else _moment(self._began)

    def unknown_until(self) -> datetime | None:
        """Until when everything counts as pulled, since pulls before that may have been lost. None: none were."""
        return _moment(self._unknown_until) if self._unknown_until else None

    async def last_pull(self, repository: Repository, digest: Digest, tag: Tag | None) -> datetime | None:
        """When a manifest was pulled last by a tag, or by its digest; for `tag` None: by any of both.

        `digest`: under which it is stored, always sha256. Never earlier than the truth: where no pull is recorded, the
        day on which records began. None: no pulls are recorded.
        """
        if self._began is None:
            return None
        known = await self._of(repository)
        found = known.pulls.get(digest.hex, {})
        times = [pull.at for name, pull in found.items() if tag is None or name in ("", tag)]
        return _moment(max(self._began, self._unknown_until, known.dropped(digest), *times))

    async def recorded(self, repository: Repository, digest: Digest, tag: Tag | None) -> Pull | None:
        """The last pull that is recorded, for people; `digest` and `tag` as in `last_pull`."""
        found = (await self._of(repository)).pulls.get(digest.hex, {})
        pulls = [pull for name, pull in found.items() if tag is None or name in ("", tag)]
        latest = max(pulls, key=lambda pull: pull.at, default=None)
        return None if latest is None else Pull(_moment(latest.at), latest.by)

    async def recorded_in(self, repository: Repository) -> Pull | None:
        """The last pull from a repository that is recorded, of any manifest."""
        pulls = [pull for tags in (await self._of(repository)).pulls.values() for pull in tags.values()]
        latest = max(pulls, key=lambda pull: pull.at, default=None)
        return None if latest is None else Pull(_moment(latest.at), latest.by)

    async def _of(self, repository: Repository) -> "_Known":
        if self._last is not None and self._last[0] == repository:
            return self._last[1]
        known = _Known({}, {})
        async for shards in list_all(self._driver, state_layout.pulls_of(repository)):
            for name in shards:
                shard = await read_shard(self._driver, repository, name)
                if shard is None:  # damaged: anything may be in it
                    shard = Shard({}, dropped=int(time.time()) + 1)
                merge_into(known.pulls, shard.pulls)
                known.dropped_by[name] = shard.dropped
        merge_into(known.pulls, self._recent.get(repository, {}))
        self._last = repository, known
        return known


class _Known(NamedTuple):
    """What shards and segments say of one repository."""

    pulls: Latest
    dropped_by: dict[str, int]  # by shard

    def dropped(self, digest: Digest) -> int:
        """Until when a manifest may have been pulled without a trace."""
        return max(self.dropped_by.get(WHOLE, 0), self.dropped_by.get(digest.hex[:2], 0))


def is_dead(driver: Driver, writer: str) -> bool:
    """Whether a process that records pulls was killed. Where nobody can tell, it was."""
    try:
        return not driver.is_held(f"pulls-{writer}")
    except OSError:
        return True


async def segments(driver: Driver) -> AsyncIterator[tuple[str, Segment | None]]:
    """The segments that are not merged yet, by name; None for one that can't be read."""
    async for names in list_all(driver, state_layout.pull_segments()):
        for first in range(0, len(names), BATCH):
            batch = names[first : first + BATCH]
            paths = [state_layout.pull_segment(name) for name in batch]
            for name, path, content in zip(batch, paths, await driver.read(paths, fresh=True), strict=True):
                if content is not None:  # else it was merged meanwhile
                    try:
                        yield name, parse_segment(path, content)
                    except RecordUnreadable:
                        yield name, None


async def read_shard(driver: Driver, repository: Repository, shard: str) -> Shard | None:
    """A shard, empty where there is none; None if it can't be read."""
    path = state_layout.pull_shard(repository, shard)
    [content] = await driver.read([path], fresh=True)
    try:
        return Shard({}) if content is None else parse_shard(path, parse(path, content).fields)
    except RecordUnreadable:
        return None


async def _read_number(driver: Driver, path: StorePath, key: str) -> tuple[int | None, bool]:
    """A number of a record, None where there is none, and whether the record can't be read."""
    [content] = await driver.read([path], fresh=True)
    if content is None:
        return None, False
    try:
        found = parse(path, content).fields.get(key, 0)
    except RecordUnreadable:
        return None, True
    return (found, False) if isinstance(found, int) else (None, True)


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(min(at, MAX_TIME), UTC)
