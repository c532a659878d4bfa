"""Promises: what a response says exists is not collected before its client could rely on it.

The garbage collector condemns what nothing reaches, and removes it after a grace. Until then each promise revives what
it promises: a response that a blob or a manifest exists, an upload, a mount, a push. The collector's record `gc/state`
names the list of what is condemned, which never changes, and the batch that is being deleted, if any.

    a promise                                       the collector
    1. reads the state; not condemned: done         1. writes the batch, then swaps it into the state
    2. writes a mark for each that is condemned     2. looks for marks: what has one is spared
    3. reads the state again: if it is in the       3. removes the others, each only as long as the state is the
       batch, swaps the batch out                      same: Driver.delete_fenced
    4. looks whether it exists                      4. swaps the batch out

If the collector doesn't see the mark in step 2, the mark was written later, so step 3 of the promise sees the batch.
Where nothing is condemned, a push reads the state once, and all other responses together read it once a second.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from math import ceil

import structlog

from authproxy.bounded_cache import Bounded
from authproxy.digest import Digest
from authproxy.errors import Unavailable
from authproxy.oci.dependencies import read_dependencies
from authproxy.reference import Repository
from authproxy.registry.gc_marks import Kind, contains, mark_of, shard_of
from authproxy.registry.links import each_manifest, find_digest
from authproxy.storage import layout, state_layout
from authproxy.storage.driver import Driver
from authproxy.storage.layout import StorePath
from authproxy.storage.records import Record, Records

log = structlog.get_logger(__name__)

# How often a promise starts over because the collector has begun a new epoch, or another promise has swapped the state.
ATTEMPTS = 32

# The most bytes of lists that a process keeps. A list of 10⁷ marks has 160 MB, in 256 parts.
MAX_LIST_BYTES = 16 * 1024 * 1024

# Manifests that one promise follows from an index to its images, and on.
MAX_FOLLOWED = 10_000


class BeingDeleted(Unavailable):
    """The collector is deleting what is asked for, and the storage can't stop that at once."""

    message = "content that this needs is being collected at the moment; try again"


@dataclass(frozen=True, slots=True)
class Condemned:
    """What the state says: the epoch, and the batch that is being deleted until then (None: none is)."""

    epoch: str
    shards: frozenset[str]  # the parts of its list that exist: the first bytes of marks, as hex digits
    batch: str | None = None
    until: float = 0.0


def parse_state(record: Record | None) -> Condemned | None:
    """Read the collector's state. None: nothing is condemned."""
    if record is None or not record.fields.get("epoch"):
        return None
    epoch, shards = str(record.fields["epoch"]), frozenset(record.fields["shards"])
    deleting = record.fields.get("deleting")
    if deleting is None:
        return Condemned(epoch, shards)
    return Condemned(epoch, shards, str(deleting["batch"]), float(deleting["until"]))


class Promises:
    """The promises of one process. Call `look` once a second, before a request is answered.

    `is_read_only`: the storage isn't written, so no push can rely on a response. `changed` is called when other things
    are condemned than before: a response that was cached promises nothing then.
    """

    def __init__(
        self, driver: Driver, *, changed: Callable[[], None] = lambda: None, is_read_only: bool = False
    ) -> None:
        self._driver = driver
        self._records = Records(driver)
        self._changed = changed
        self._is_read_only = is_read_only
        self._state: Condemned | None = None
        self._lists: Bounded[StorePath, bytes] = Bounded(MAX_LIST_BYTES)
        self._revived: set[bytes] = set()  # marks of this epoch that are known to exist

    @property
    def epoch(self) -> str | None:
        """The epoch as of the last look. None: nothing is condemned."""
        return self._state.epoch if self._state is not None else None

    async def look(self) -> None:
        """Read the state. A storage that doesn't answer leaves what is known, for as long as it doesn't."""
        try:
            await self._look_now()
        except (OSError, Unavailable) as error:
            log.warning("the collector's state can't be read", reason=str(error))

    async def keep_blob(self, repository: Repository, digest: Digest, stored: Digest) -> None:
        """Promise that a blob exists, as far as the collector is concerned: look whether it does afterwards.

        Raises BeingDeleted.
        """
        if self._state is not None:
            await self._keep([blob_marks(repository, digest, stored)])

    async def keep_manifest(self, repository: Repository, digest: Digest, content: bytes) -> None:
        """Promise that a manifest exists, and all that it needs: see `keep_blob`."""
        if self._state is not None and await self._find(self._state, revision_marks(repository, [digest], content)):
            await self._keep(await self._marks_of(repository, [digest], content))

    async def keep_pushed_blob(self, repository: Repository, digest: Digest, stored: Digest) -> None:
        """`keep_blob`, whatever has been condemned since the last look."""
        await self._look_now()
        await self.keep_blob(repository, digest, stored)

    async def keep_pushed_manifest(self, repository: Repository, names: Sequence[Digest], content: bytes) -> None:
        """Promise that a manifest exists under all its names, and what it needs, whatever has been condemned by now."""
        await self._look_now()
        if self._state is not None:
            await self._keep(await self._marks_of(repository, names, content))

    async def _look_now(self) -> None:
        if not self._is_read_only:
            self._take(parse_state(await self._records.read(state_layout.gc_state())))

    async def _keep(self, groups: Sequence[Collection[bytes]]) -> None:
        """Write the marks of what is condemned, then cancel the deletion of what is in the batch at the moment.

        The marks of a group are written after those before: what a manifest needs is kept before the manifest is.
        """
        for _ in range(ATTEMPTS):
            state = self._state
            if state is None:
                return
            kept = [some for marks in groups if (some := await self._find(state, marks))]
            if not kept:
                return
            condemned = [mark for marks in kept for mark in marks]
            await self._driver.write_all(
                [[(state_layout.gc_revived_mark(state.epoch, mark.hex()), b"1") for mark in marks] for marks in kept]
            )
            record = await self._records.read(state_layout.gc_state())
            self._take(found := parse_state(record))
            if record is None or found is None or found.epoch != state.epoch:
                continue
            if await self._is_in_batch(found, condemned):
                left = found.until - self._driver.clock_s()
                if self._driver.fence_s and left > 0:
                    raise BeingDeleted(headers=[("Retry-After", str(ceil(left)))])
                if await self._records.swap(record, {**record.fields, "deleting": None}) is None:
                    continue
            self._revived.update(condemned)
            return
        raise BeingDeleted(headers=[("Retry-After", "1")])

    def _take(self, state: Condemned | None) -> None:
        if (state.epoch if state else None) != self.epoch:
            self._revived.clear()
            self._changed()
        self._state = state

    async def _find(self, state: Condemned, marks: Iterable[bytes]) -> list[bytes]:
        """Those of these marks that are condemned, and not known to be revived."""
        found = []
        for mark in marks:
            if mark in self._revived or (shard := shard_of(mark)) not in state.shards:
                continue
            condemned = await self._read_list(state_layout.gc_condemned(state.epoch, shard))
            if await self._is_named(state) if condemned is None else contains(condemned, mark):
                found.append(mark)
        return found

    async def _is_in_batch(self, state: Condemned, marks: Iterable[bytes]) -> bool:
        if state.batch is None:
            return False
        batch = await self._read_list(state_layout.gc_deleting(state.epoch, state.batch))
        if batch is None:
            return await self._is_named(state)
        return any(contains(batch, mark) for mark in marks)

    async def _read_list(self, path: StorePath) -> bytes | None:
        """A list, which never changes. None where it is gone."""
        found = self._lists.get(path)
        if found is None:
            [found] = await self._driver.read([path], fresh=True)
            if found is not None:
                self._lists.put(path, found, len(found) + 200)
        return found

    async def _is_named(self, state: Condemned) -> bool:
        """Whether an epoch whose list is gone is the current one: then a collector may have read its list before.

        Otherwise the list has gone with its epoch, whose deletions are over.
        """
        current = parse_state(await self._records.read(state_layout.gc_state()))
        return current is not None and current.epoch == state.epoch

    async def _marks_of(
        self, repository: Repository, names: Sequence[Digest], content: bytes
    ) -> list[Collection[bytes]]:
        """The marks of a manifest and of all that it needs: bytes and blobs, then manifests, the innermost first."""
        needed: dict[bytes, None] = {}  # in order, each once
        revisions: list[list[bytes]] = []
        followed = set(names)

        async def add(name: Digest, body: bytes) -> frozenset[Digest]:
            revisions[-1] += revision_marks(repository, names if name == names[0] else [name], body)
            needed[mark_of(Kind.BYTES, None, _stored(name, body))] = None
            needs = read_dependencies(body)
            entries = sorted(needs.blobs | needs.manifests)
            for blob, link in zip(entries, await self._links(repository, entries), strict=True):
                needed.update(dict.fromkeys(blob_marks(repository, blob, link or blob)))
            return needs.manifests

        revisions.append([])
        below = await add(names[0], content) - followed
        while inner := sorted(below)[: MAX_FOLLOWED - len(followed)]:
            followed.update(inner)
            revisions.append([])
            below = frozenset()
            async for name, body in each_manifest(self._driver, repository, inner, fresh=True):
                below |= await add(name, body) - followed
        return [needed, *reversed(revisions)]

    async def _links(self, repository: Repository, blobs: Sequence[Digest]) -> list[Digest | None]:
        links = await self._driver.read([layout.layer_link(repository, blob) for blob in blobs], fresh=True)
        return [find_digest(link) for link in links]


def blob_marks(repository: Repository, digest: Digest, stored: Digest) -> list[bytes]:
    """The marks of a blob: its bytes, and its links by both of its digests."""
    links = [mark_of(Kind.LAYER, repository, name) for name in dict.fromkeys((digest, stored))]
    return [mark_of(Kind.BYTES, None, stored), *links]


def revision_marks(repository: Repository, names: Sequence[Digest], content: bytes) -> list[bytes]:
    """The marks of a manifest's links by these digests, and by its sha256 digest."""
    names = list(dict.fromkeys((_stored(names[0], content), *names)))
    return [mark_of(Kind.REVISION, repository, name) for name in names]


def _stored(name: Digest, content: bytes) -> Digest:
    return name if name.algorithm == "sha256" else Digest.of(content)
