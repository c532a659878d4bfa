"""The sweep: removes what was condemned an epoch ago, is still not reached, and was not promised since.

Links go first, into the trash: indexes, then other manifests, then blobs. A manifest that is still there has all that
it needs. Bytes go last, unless the trash holds them. Each batch is written down before anything of it goes, and each
removal depends on the collector's state: see registry/promises.py.
"""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from authproxy.digest import Digest
from authproxy.maintenance.gc.findings import Candidate
from authproxy.maintenance.gc.pace import Pace
from authproxy.oci.dependencies import read_dependencies
from authproxy.oci.manifest import find_subject
from authproxy.reference import Repository
from authproxy.registry.gc_marks import Kind, mark_of
from authproxy.registry.links import each_manifest, stored_blobs, stored_manifests
from authproxy.registry.promises import Condemned, parse_state
from authproxy.registry.trash import Links, Trash
from authproxy.storage import layout, state_layout
from authproxy.storage.driver import Driver, Fence
from authproxy.storage.layout import StorePath
from authproxy.storage.records import Record, Records

# What is deleted together. A push that needs one of them cancels them all, and the rest is in the next batch.
BATCH = 500

BY = "garbage collection"


class Superseded(Exception):
    """Another collector has begun a new epoch: this one has slept, and must not go on."""


@dataclass(slots=True)
class Swept:
    """What a sweep has removed. Sizes are in bytes."""

    revisions: int = 0
    layers: int = 0
    blobs: int = 0
    bytes: int = 0
    spared: int = 0
    """Promised since it was condemned."""
    by_repository: dict[str, int] = field(default_factory=dict)
    """Links removed."""


class _Seen(NamedTuple):
    """A manifest that is about to go."""

    is_index: bool
    subject: Digest | None


class Sweep:
    """One sweep of an epoch's condemned list."""

    def __init__(
        self,
        driver: Driver,
        state: Record,
        *,
        now: Callable[[], datetime],
        pace: Pace,
        removed: Callable[[bytes], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.swept = Swept()
        self._driver = driver
        self._records = Records(driver)
        self._trash = Trash(driver)
        self._state = state
        self._now = now
        self._pace = pace
        self._removed = removed
        self._sleep = sleep
        self._batch: str | None = None  # the one that this sweep has begun last
        self._left: dict[bytes, Candidate] = {}  # of the batch: not removed yet

    @property
    def state(self) -> Record:
        """The collector's state as this sweep has left it."""
        return self._state

    async def recover(self) -> None:
        """End the batch of a collector that has stopped, once the storage refuses its deletions. Raises Superseded."""
        if _batch_of(self._state) is not None:
            await self._swap(None)

    async def remove_indexes(self, candidates: AsyncIterator[Candidate]) -> None:
        """Remove the revision links of indexes among these."""
        await self._remove_manifests(candidates, are_indexes=True)

    async def remove_images(self, candidates: AsyncIterator[Candidate]) -> None:
        """Remove all other revision links."""
        await self._remove_manifests(candidates, are_indexes=False)

    async def remove_layers(self, candidates: AsyncIterator[Candidate]) -> None:
        """Remove the links to blobs."""
        async for batch in _in_batches(candidates, Kind.LAYER):
            async for left in self._attempts(batch):
                for repository, names in _by_repository(left).items():
                    links = Links(layers=await stored_blobs(self._driver, repository, names, fresh=True))
                    await self._record(repository, links)
                paths = [(each, layout.layer_link(_repository(each), each.digest)) for each in left]
                self.swept.layers += await self._remove(paths)

    async def remove_bytes(self, candidates: AsyncIterator[Candidate], is_held: Callable[[bytes], bool]) -> None:
        """Remove the bytes that the trash doesn't hold: `is_held` is asked by their mark."""
        async for batch in _in_batches(candidates, Kind.BYTES, is_held):
            async for left in self._attempts(batch):
                paths = [(each, layout.blob(each.digest)) for each in left]
                self.swept.blobs += await self._remove(paths)

    async def _remove_manifests(self, candidates: AsyncIterator[Candidate], *, are_indexes: bool) -> None:
        async for batch in _in_batches(candidates, Kind.REVISION):
            seen = await self._look(batch)
            wanted = [each for each in batch if each.mark in seen and seen[each.mark].is_index == are_indexes]
            async for left in self._attempts(wanted):
                notes: dict[tuple[Repository, Digest], StorePath] = {}
                for repository, names in _by_repository(left).items():
                    referrers = await self._notes(repository, left, seen)
                    held = await stored_manifests(self._driver, repository, names, fresh=True)
                    await self._record(repository, Links(revisions=held, referrers=referrers))
                    for subject, name in referrers:
                        notes[repository, name] = layout.referrer_link(repository, subject, name)
                paths: list[tuple[Candidate | None, StorePath]] = []
                for each in left:
                    paths.append((each, layout.revision_link(_repository(each), each.digest)))
                    if (note := notes.get((_repository(each), each.digest))) is not None:
                        paths.append((None, note))
                self.swept.revisions += await self._remove(paths)

    async def _look(self, batch: Sequence[Candidate]) -> dict[bytes, _Seen]:
        """Those manifests that have a link, by mark."""
        found: dict[bytes, _Seen] = {}
        for repository, names in _by_repository(batch).items():
            held = await stored_manifests(self._driver, repository, names, fresh=True)
            seen = dict.fromkeys(held, _Seen(False, None))  # also one that can't be read
            async for name, content in each_manifest(self._driver, repository, list(held), fresh=True):
                seen[name] = _Seen(bool(read_dependencies(content).manifests), find_subject(content))
            found |= {mark_of(Kind.REVISION, repository, name): each for name, each in seen.items()}
        return found

    async def _notes(
        self, repository: Repository, batch: Sequence[Candidate], seen: dict[bytes, _Seen]
    ) -> dict[tuple[Digest, Digest], bytes]:
        pairs = [
            (subject, each.digest)
            for each in batch
            if each.repository == repository and (subject := seen[each.mark].subject) is not None
        ]
        notes = await self._driver.read([layout.referrer_link(repository, *pair) for pair in pairs], fresh=True)
        return {pair: note for pair, note in zip(pairs, notes, strict=True) if note is not None}

    async def _record(self, repository: Repository, links: Links) -> None:
        if links.revisions or links.layers:
            why = "nothing needed it"
            await self._trash.record(repository, links, at=self._now(), by=BY, why=why)

    async def _attempts(self, batch: Sequence[Candidate]) -> AsyncIterator[list[Candidate]]:
        """What of a batch is to be removed: written down, and not promised. Again with what a push has left."""
        left = await self._without_promised(batch)
        while left:
            await self._pace.rest()
            await self._begin(left)
            left = await self._without_promised(left)  # by those that haven't seen the batch
            self._left = {each.mark: each for each in left}
            if left:
                yield left
            left = await self._without_promised(list(self._left.values()))
        await self._end()

    async def _without_promised(self, batch: Sequence[Candidate]) -> list[Candidate]:
        marks = [state_layout.gc_revived_mark(self._epoch, each.mark.hex()) for each in batch]
        left = [each for each, mark in zip(batch, await self._driver.sizes(marks), strict=True) if mark is None]
        self.swept.spared += len(batch) - len(left)
        return left

    @property
    def _epoch(self) -> str:
        return str(self._state.fields["epoch"])

    async def _begin(self, batch: Sequence[Candidate]) -> None:
        """Write a batch down, then name it in the state. Raises Superseded."""
        name = secrets.token_hex(8)
        marks = b"".join(sorted(each.mark for each in batch))
        await self._driver.write(state_layout.gc_deleting(self._epoch, name), marks)
        await self._swap(name)

    async def _prolong(self) -> None:
        """Give the batch more time, unless a promise has cancelled it since the state was read."""
        await self._try_to_swap(self._batch)

    async def _end(self) -> None:
        """Take the batch out of the state, unless a promise or another collector has."""
        while self._batch is not None and _batch_of(self._state) == self._batch:
            if not await self._try_to_swap(None):
                await self._reread()

    async def _swap(self, batch: str | None) -> None:
        """Name this batch in the state, once that of another collector is over. Raises Superseded."""
        while True:
            if _batch_of(self._state) != self._batch:
                await outlast_batch(self._driver, self._state, self._sleep)
            if await self._try_to_swap(batch):
                return
            await self._reread()

    async def _try_to_swap(self, batch: str | None) -> bool:
        deleting = None
        if batch is not None:
            deleting = {"batch": batch, "until": self._driver.clock_s() + self._driver.fence_s}
        swapped = await self._records.swap(self._state, {**self._state.fields, "deleting": deleting})
        if swapped is None:
            return False
        self._state, self._batch = swapped, batch
        return True

    async def _reread(self) -> Condemned:
        """Read the state, which a push has changed. Raises Superseded where another collector has."""
        record = await self._records.read(state_layout.gc_state())
        state = parse_state(record)
        if record is None or state is None or state.epoch != self._epoch:
            raise Superseded
        self._state = record
        return state

    async def _remove(self, paths: Sequence[tuple[Candidate | None, StorePath]]) -> int:
        """Remove these, in order, until a promise cancels. Returns how many candidates have gone."""
        count = 0
        for candidate, path in paths:
            while not await self._driver.delete_fenced(path, self._fence()):
                if (await self._reread()).batch != self._batch:
                    return count
                await self._prolong()
            if candidate is not None:
                count += 1
                self._count(candidate)
        return count

    def _fence(self) -> Fence:
        return Fence(self._state.path, self._state.content, self._state.fields["deleting"]["until"])

    def _count(self, candidate: Candidate) -> None:
        del self._left[candidate.mark]
        self._removed(candidate.mark)
        self.swept.bytes += candidate.size
        if candidate.repository is not None:
            count = self.swept.by_repository.get(candidate.repository, 0)
            self.swept.by_repository[candidate.repository] = count + 1


async def outlast_batch(driver: Driver, state: Record, sleep: Callable[[float], Awaitable[None]]) -> None:
    """Wait until the storage refuses the deletions of the batch that the state names, if it names one.

    Only then may the state name another: a promise looks for what it promises in the batch of the moment.
    """
    condemned = parse_state(state)
    if driver.fence_s and condemned is not None and condemned.batch is not None:
        await sleep(max(0.0, condemned.until - driver.clock_s()))


def _batch_of(state: Record) -> str | None:
    condemned = parse_state(state)
    return None if condemned is None else condemned.batch


def _repository(candidate: Candidate) -> Repository:
    assert candidate.repository is not None
    return candidate.repository


def _by_repository(batch: Iterable[Candidate]) -> dict[Repository, list[Digest]]:
    found: defaultdict[Repository, list[Digest]] = defaultdict(list)
    for each in batch:
        found[_repository(each)].append(each.digest)
    return found


async def _in_batches(
    candidates: AsyncIterator[Candidate], kind: Kind, is_held: Callable[[bytes], bool] = lambda _: False
) -> AsyncIterator[list[Candidate]]:
    batch: list[Candidate] = []
    async for candidate in candidates:
        if candidate.kind is kind and not is_held(candidate.mark):
            batch.append(candidate)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
