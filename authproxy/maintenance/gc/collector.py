"""The garbage collector: a run removes what the run before has condemned, and condemns what nothing reaches now.

Between the two is a grace, in which every promise revives what it promises; and a complete marking, which began after
the condemned list was durable. Runs may overlap, and a process may stop anywhere or sleep: what is removed depends on
the record `gc/state`, which the next run swaps. docs/explanation/garbage-collection.md has the steps and the proof.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from authproxy.errors import StartError
from authproxy.maintenance.gc.findings import Candidate, Totals
from authproxy.maintenance.gc.mark_list import ListMissing, MarkList, listed, read_condemned, read_revived
from authproxy.maintenance.gc.marking import Marking, mark
from authproxy.maintenance.gc.options import MarkingOptions, Untagged
from authproxy.maintenance.gc.pace import Pace
from authproxy.maintenance.gc.records import RecordSorter
from authproxy.maintenance.gc.sweep import Superseded, Sweep, Swept, outlast_batch
from authproxy.maintenance.gc.tidy import Tidy
from authproxy.maintenance.ticks import Count, Ticks, tick_for
from authproxy.registry.gc_marks import MARK_BYTES, Kind, mark_of, shard_of
from authproxy.registry.promises import parse_state
from authproxy.registry.trash import Deleted, Trash
from authproxy.registry.upload_purge import purge_uploads
from authproxy.storage import layout, state_layout
from authproxy.storage.driver import Driver
from authproxy.storage.records import Record, Records

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """How a run collects. Times are in seconds."""

    grace_s: float = 24 * HOUR_S
    """How long what is condemned is kept: longer than any push takes from its first request to its last."""
    trash_s: float = 72 * HOUR_S
    """How long what was deleted or collected can be restored."""
    untagged: Untagged = Untagged.KEEP
    ends_trash: bool = False
    """End the trash now: nothing in it can be restored any more."""
    min_free: float = 0.0
    """The share of the storage that should be free: below it the trash ends, the oldest first. 0: never."""
    uploads_age: timedelta | None = None
    """How long ago an upload must have begun to be abandoned. None: uploads stay."""

    @property
    def tick_s(self) -> float:
        """How long a tick should be, so that neither time ends late."""
        return tick_for(min(self.grace_s, self.trash_s or self.grace_s))


@dataclass(slots=True)
class Collected:
    """What a run has done. Sizes are in bytes."""

    swept: Swept = field(default_factory=Swept)
    uploads: int = 0
    """Abandoned uploads that have been removed."""
    upload_bytes: int = 0
    """What they had received."""
    trash_ended: int = 0
    """Records of the trash that have ended."""
    condemned: int = 0
    """Links and contents that are condemned now."""
    condemned_bytes: int = 0
    grace_left_s: float | None = None
    """How long until what is condemned may go. None: nothing is condemned."""
    is_waiting: bool = False
    """The grace is not over: nothing was read, and nothing removed."""

    def to_json(self) -> dict[str, Any]:
        """For the record of the job, and for programs."""
        swept = asdict(self.swept)
        by_repository = swept.pop("by_repository")
        most = sorted(by_repository.items(), key=lambda item: -item[1])[:MAX_REPORTED]
        return {
            "removed": swept,
            "removed_links": dict(most),
            "uploads": self.uploads,
            "upload_bytes": self.upload_bytes,
            "trash_ended": self.trash_ended,
            "condemned": self.condemned,
            "condemned_bytes": self.condemned_bytes,
            "grace_left_s": None if self.grace_left_s is None else round(self.grace_left_s),
            "is_waiting": self.is_waiting,
        }


class StorageSpace(NamedTuple):
    """The space of a storage, in bytes."""

    free: int
    total: int


# Repositories that the report of a run names, those with the most removed links.
MAX_REPORTED = 1000


class NotEnabled(StartError):
    """Other programs may write to the storage, and they don't know the collector's marks."""


class Collector:
    """Collects the garbage of one storage. Each run is right beside any other, and beside every request.

    `folder`: for temporary files. `progress` is called with the counts of a marking while it goes on.
    """

    def __init__(
        self,
        driver: Driver,
        options: CollectOptions,
        *,
        pace: Pace | None = None,
        ticks: Ticks | None = None,
        folder: Path | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        progress: Callable[[Totals], object] = lambda _: None,
        space: Callable[[], StorageSpace | None] = lambda: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._driver = driver
        self._options = options
        self._records = Records(driver)
        self._trash = Trash(driver)
        self._pace = pace or Pace()
        self._ticks = ticks or Ticks(self._records, tick_s=options.tick_s)
        self._folder = folder
        self._now = now
        self._progress = progress
        self._space = space
        self._sleep = sleep

    async def run(self) -> Collected:
        """Collect once. Raises NotEnabled, Incomplete, Superseded, RecordUnreadable, StorageFull, OSError."""
        if await self._records.read(state_layout.gc_enabled()) is None:
            raise NotEnabled("collection is off: `authproxy gc --enable` turns it on")
        done = Collected()
        count = await self._ticks.advance()
        done.trash_ended = await self._end_trash(count)
        record = await self._records.read(state_layout.gc_state())
        state = parse_state(record)
        if record is not None and state is not None:
            record = await self._finish_condemning(record)
            done.grace_left_s = self._options.grace_s - count.since_s(int(record.fields["tick"]))
            if done.grace_left_s > 0:
                done.is_waiting = True
                done.condemned = int(record.fields.get("count", 0))
                done.condemned_bytes = int(record.fields.get("bytes", 0))
                return done
        await self._remove_uploads(done)
        with ExitStack() as stack:
            removed = RecordSorter(MARK_BYTES, self._folder)
            stack.callback(removed.close)
            marking = None
            if record is not None and state is not None:
                marking, record, done.swept = await self._remove(stack, record, removed)
            if marking is None or self._options.untagged is Untagged.REMOVE:
                marking = stack.enter_context(await self._mark(MarkingOptions(self._options.untagged)))
            gone = stack.enter_context(await listed(removed, self._folder))
            await self._condemn(record, self._candidates(marking, lambda mark: mark not in gone), done)
            await self._tidy(marking)
        return done

    async def _remove_uploads(self, done: Collected) -> None:
        if self._options.uploads_age is not None:
            older_than = self._now() - self._options.uploads_age
            purged = await purge_uploads(self._driver, older_than=older_than, dry_run=False)
            done.uploads, done.upload_bytes = len(purged), sum(each.size for each in purged)

    async def _remove(
        self, stack: ExitStack, record: Record, removed: RecordSorter
    ) -> tuple[Marking | None, Record, Swept]:
        """Mark, and remove what was condemned, is not reached, and was not promised again."""
        state = parse_state(record)
        assert state is not None
        try:
            condemned = stack.enter_context(await read_condemned(self._driver, state, self._folder))
        except ListMissing:  # nothing is removed by a list that isn't whole
            return None, record, Swept()
        revived = stack.enter_context(await read_revived(self._driver, state, self._folder))
        options = MarkingOptions(
            self._options.untagged,
            is_new=lambda repository, digest: mark_of(Kind.REVISION, repository, digest) not in condemned,
            is_revived=revived.__contains__,
        )
        marking = stack.enter_context(await self._mark(options))

        def doomed() -> AsyncIterator[Candidate]:
            return self._candidates(marking, condemned.__contains__)

        sweep = Sweep(
            self._driver,
            record,
            now=self._now,
            pace=self._pace,
            removed=removed.add,
            sleep=self._sleep,
        )
        await sweep.recover()
        await sweep.remove_indexes(doomed())
        await sweep.remove_images(doomed())
        await sweep.remove_layers(doomed())
        if self._options.ends_trash:  # also of what has just gone
            await self._end_trash(await self._ticks.read())
        with await self._read_held() as held:
            await sweep.remove_bytes(doomed(), held.__contains__)
        return marking, sweep.state, sweep.swept

    async def _mark(self, options: MarkingOptions) -> Marking:
        options = replace(options, empty_is_absent=self._driver.fence_s > 0)
        return await mark(self._driver, options, pace=self._pace, folder=self._folder, progress=self._progress)

    async def _read_held(self) -> MarkList:
        """The marks of the bytes that the trash holds."""
        marks = RecordSorter(MARK_BYTES, self._folder)
        try:
            async for deleted in self._all_deleted():
                for stored in deleted.links.stored:
                    marks.add(mark_of(Kind.BYTES, None, stored))
            return await listed(marks, self._folder)
        finally:
            marks.close()

    async def _candidates(self, marking: Marking, is_meant: Callable[[bytes], bool]) -> AsyncIterator[Candidate]:
        """Those of a marking whose marks are meant, in the order of the marks."""
        async for each in self._pace.each(marking.candidates()):
            if is_meant(each.mark):
                yield each

    async def _condemn(self, record: Record | None, candidates: AsyncIterator[Candidate], done: Collected) -> None:
        """Write a new epoch's list, then the state that names it, then when it began. The old epoch's folder goes."""
        epoch = secrets.token_hex(8)
        try:
            written = await self._write_epoch(epoch, record, candidates, done)
        except BaseException:
            tidy = Tidy(self._driver)  # on a full disk no list may stay
            await tidy.remove_list(epoch)
            await tidy.remove_epochs()
            raise
        if written is None:
            return
        if record is not None and record.fields.get("epoch"):
            await self._driver.delete_tree(state_layout.gc_epoch(str(record.fields["epoch"])))
        done.grace_left_s = self._options.grace_s if written.fields["epoch"] else None
        if written.fields["epoch"]:
            await self._finish_condemning(written)

    async def _write_epoch(
        self, epoch: str, record: Record | None, candidates: AsyncIterator[Candidate], done: Collected
    ) -> Record | None:
        """Write the list, then the state. None: there is nothing to condemn, and never was. Raises Superseded."""
        shards = await self._write_list(epoch, candidates, done)
        if not shards and record is None:
            done.grace_left_s = None
            return None
        fields: dict[str, Any] = {
            "epoch": epoch if shards else None,
            "shards": shards,
            "tick": None,
            "deleting": None,
        }
        fields |= {"count": done.condemned, "bytes": done.condemned_bytes, "at": self._now().isoformat()}
        if record is None:
            written = await self._records.create(state_layout.gc_state(), fields)
        else:
            await outlast_batch(self._driver, record, self._sleep)  # of another collector
            written = await self._records.swap(record, fields)
        if written is None:
            raise Superseded
        return written

    async def _write_list(self, epoch: str, candidates: AsyncIterator[Candidate], done: Collected) -> list[str]:
        """Write the marks, a part for each first byte. Returns the names of the parts."""
        shards: list[str] = []
        marks = bytearray()

        async def write() -> None:
            shards.append(shard_of(marks))
            await self._driver.write(state_layout.gc_condemned(epoch, shards[-1]), bytes(marks))
            marks.clear()

        async for each in candidates:
            if marks and marks[0] != each.mark[0]:
                await write()
            marks += each.mark
            done.condemned += 1
            done.condemned_bytes += each.size
        if marks:
            await write()
        return shards

    async def _tidy(self, marking: Marking) -> None:
        tidy = Tidy(self._driver)
        await tidy.remove_notes(marking.strays())
        await tidy.remove_empty_folders(marking.strays())
        await tidy.shorten_histories()
        await tidy.remove_epochs()

    async def _finish_condemning(self, record: Record) -> Record:
        """Note when the epoch began: after its list was durable. A run that stopped before has left that out."""
        while record.fields.get("tick") is None:
            tick = (await self._ticks.read()).tick
            written = await self._records.swap(record, {**record.fields, "tick": tick})
            found = written or await self._records.read(state_layout.gc_state())
            if found is None or found.fields.get("epoch") != record.fields["epoch"]:
                raise Superseded
            record = found
        return record

    async def _end_trash(self, count: Count) -> int:
        """Remove the records whose time is over."""
        ended = await self._make_room()
        async for deleted in self._all_deleted():
            if self._options.ends_trash or count.since_s(deleted.tick) >= self._options.trash_s:
                await self._trash.forget(deleted)
                ended += 1
        return ended

    async def _make_room(self) -> int:
        """End the trash, the oldest first, as far as that gives the storage the free space that it should have."""
        space = self._space()
        if space is None or self._options.ends_trash:
            return 0
        lacking = self._options.min_free * space.total - space.free
        if lacking <= 0:
            return 0
        ended = 0
        for _, repository, name in sorted(
            [(each.at, each.repository, each.name) async for each in self._all_deleted()]
        ):
            if lacking > 0 and (deleted := await self._trash.find(repository, name)) is not None:
                stored = [layout.blob(digest) for digest in sorted(deleted.links.stored)]
                lacking -= sum(size or 0 for size in await self._driver.sizes(stored))
                await self._trash.forget(deleted)
                ended += 1
        return ended

    async def _all_deleted(self) -> AsyncIterator[Deleted]:
        async for repository in self._trash.repositories():
            async for deleted in self._trash.of(repository):
                yield deleted
