"""Merging: the segments of pulls are folded into the shards of their repositories, hourly, where there are any.

Any number of processes may merge at once: each keeps the later of two times, and a segment goes only after the shards
that have its pulls are durable.
"""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

import structlog

from authproxy.clock import Clock
from authproxy.digest import Digest
from authproxy.errors import RegistryError
from authproxy.log.alarms import sound
from authproxy.reference import Repository
from authproxy.registry.pull_segments import WHOLE, Latest, Shard, merge_into, parse_shard, size_of
from authproxy.registry.pull_times import is_dead, segments
from authproxy.storage import layout, state_layout
from authproxy.storage.driver import Driver, list_all
from authproxy.storage.layout import StorePath
from authproxy.storage.records import Fields, RecordContended, Records, RecordUnreadable, is_newer

log = structlog.get_logger(__name__)

# The time between two merges, in seconds. The first one is at a random time within it, so that processes that start
# together don't merge together.
INTERVAL_S = 3600.0
# A shard that is longer, in bytes, is split by the first two hex digits: some 7000 manifests.
MAX_WHOLE_BYTES = 1024 * 1024
# The longest shard, in bytes: of one that would be longer, the tags are forgotten, and then the oldest pulls.
MAX_SHARD_BYTES = 4 * 1024 * 1024
# Manifests whose pulls are folded at once: about 50 MB.
MAX_PULLS = 100_000
# A pull of a manifest that is gone is kept this long, in seconds: the manifest may come back from the trash.
KEEP_GONE_S = 30 * 24 * 3600
# Links that are looked for at once.
BATCH = 1000


class PullMerge:
    """Merges the segments of one storage. `now` is the time of day in seconds."""

    def __init__(
        self,
        driver: Driver,
        *,
        interval_s: float = INTERVAL_S,
        max_whole_bytes: int = MAX_WHOLE_BYTES,
        now: Clock = time.time,
    ) -> None:
        self._driver = driver
        self._records = Records(driver)
        self._interval_s = interval_s
        self._max_whole_bytes = max_whole_bytes
        self._now = now

    async def run(self) -> None:
        """Merge at intervals until cancelled. What fails is logged, and tried again in the next round."""
        await self._try(self.end_dead)
        await asyncio.sleep(random.SystemRandom().uniform(0, self._interval_s))
        while True:
            await self._try(self.end_dead)
            await self._try(self.merge)
            await asyncio.sleep(self._interval_s)

    async def end_dead(self) -> None:
        """Note that everything may have been pulled until now, if a process was killed before it wrote its pulls."""
        async for names in list_all(self._driver, state_layout.pull_writers()):
            for writer in names:
                if is_dead(self._driver, writer):
                    log.warning("a process ended without its pull times: every image counts as pulled now")
                    await self._note(everything=self._time())
                    await self._driver.delete(state_layout.pull_writer(writer))

    async def merge(self) -> int:
        """Fold all segments into shards, and return how many. Raises the storage's errors."""
        count, latest, everything = 0, 0, 0
        names: list[str] = []
        pulls: dict[Repository, Latest] = {}
        async for name, segment in segments(self._driver):
            names.append(name)
            if segment is None:
                log.warning("a record of pulls is damaged: every image counts as pulled now", segment=name)
                everything = max(everything, self._time())
                continue
            latest = max(latest, segment.to)
            everything = max(everything, segment.to if segment.is_all else 0)
            for repository, found in segment.pulls.items():
                merge_into(pulls.setdefault(repository, {}), found)
            if sum(map(len, pulls.values())) >= MAX_PULLS:
                count += await self._fold(names, pulls, latest, everything)
                names, pulls = [], {}
        return count + await self._fold(names, pulls, latest, everything) if names else count

    def _time(self) -> int:
        return math.ceil(self._now())

    async def _try(self, step: Callable[[], Awaitable[object]]) -> None:
        try:
            await step()
        except (RegistryError, OSError) as exc:
            sound("pull times can't be merged; it is tried again", reason=str(exc) or repr(exc))

    async def _fold(self, names: list[str], pulls: dict[Repository, Latest], latest: int, everything: int) -> int:
        for repository, found in pulls.items():
            await self._fold_repository(repository, found)
        await self._note(latest=latest, everything=everything)
        for name in names:
            await self._driver.delete(state_layout.pull_segment(name))
        return len(names)

    async def _note(self, *, latest: int = 0, everything: int = 0) -> None:
        def change(fields: Fields) -> Fields:
            before = _number(fields, "latest"), _number(fields, "all")
            return {**fields, "latest": max(latest, everything, before[0]), "all": max(everything, before[1])}

        await self._update(state_layout.pulls_merged(), change, {"all": self._time()})

    async def _fold_repository(self, repository: Repository, found: Latest) -> None:
        is_small = size_of(Shard(found).fields()) <= self._max_whole_bytes
        whole = await self._fold_shard(repository, WHOLE, found if is_small else {})
        if not whole.is_split and is_small and size_of(whole.fields()) <= self._max_whole_bytes:
            return
        # A shard that is split stays, without its pulls, and leads to the others.
        known = Shard({} if whole.is_split else whole.pulls).with_latest(found)
        by_digits: dict[str, Latest] = {}
        for manifest, tags in known.pulls.items():
            by_digits.setdefault(manifest[:2], {})[manifest] = tags
        for digits, part in by_digits.items():
            await self._fold_shard(repository, digits, part, dropped=whole.dropped)
        if not whole.is_split:
            await self._split(repository, whole)

    async def _split(self, repository: Repository, whole: Shard) -> None:
        """Empty the whole shard of what is in the others, unless it has changed: then the next merge does."""
        path = state_layout.pull_shard(repository, WHOLE)
        record = await self._records.read(path)
        if record is not None and parse_shard(path, record.fields) == whole:
            await self._records.swap(record, Shard({}, whole.dropped, is_split=True).fields())

    async def _fold_shard(self, repository: Repository, name: str, found: Latest, *, dropped: int = 0) -> Shard:
        """Add pulls to a shard, and return what it holds then. One that is split is returned as it is."""
        path = state_layout.pull_shard(repository, name)
        before = self._time() - KEEP_GONE_S
        gone: frozenset[str] = frozenset()
        with suppress(RecordUnreadable):
            record = await self._records.read(path)
            known = Shard({}) if record is None else parse_shard(path, record.fields)
            old = [hexes for hexes in known.pulls if (known.latest(hexes) or 0) < before]
            gone = await self._find_gone(repository, old)

        def change(fields: Fields) -> Fields | None:
            shard = parse_shard(path, fields)
            if shard.is_split:
                return None
            shard = shard.with_latest(found).without(gone, before=before)
            return shard._replace(dropped=max(shard.dropped, dropped)).at_most(MAX_SHARD_BYTES).fields()

        return parse_shard(path, await self._update(path, change, {"dropped": self._time()}))

    async def _update(self, path: StorePath, change: Callable[[Fields], Fields | None], instead: Fields) -> Fields:
        """`Records.update`, with the fields `instead` of those of a record that is damaged. Returns the fields."""
        try:
            record = await self._records.update(path, change)
        except RecordUnreadable:
            [content] = await self._driver.read([path], fresh=True)
            if content is None or is_newer(content):
                raise
            log.warning("a record of pulls is damaged, and starts again", record=str(path))
            fields = change(instead) or instead
            if not await self._driver.replace(path, self._records.encode(fields), expected=content):
                raise RecordContended from None
            return fields
        return record.fields if record is not None else {}

    async def _find_gone(self, repository: Repository, manifests: Iterable[str]) -> frozenset[str]:
        """Those of these manifests that the repository doesn't hold."""
        asked = list(manifests)
        gone: set[str] = set()
        for first in range(0, len(asked), BATCH):
            batch = asked[first : first + BATCH]
            links = [layout.revision_link(repository, Digest("sha256", hexes)) for hexes in batch]
            sizes = await self._driver.sizes(links)
            gone.update(hexes for hexes, size in zip(batch, sizes, strict=True) if not size)
        return frozenset(gone)


def _number(fields: Fields, key: str) -> int:
    found = fields.get(key, 0)
    return found if isinstance(found, int) else 0
