"""Promises: what a response says exists is not collected before its client could rely on it.

The garbage collector condemns what nothing reaches, and removes it after a grace. Until then each promise revives what
it promises: a response that a blob or a manifest exists, an upload, a mount, a push. The collector's record `gc/state`
names the list of what is condemned, which never changes, and the batch that is being deleted, if any.

    a promise                                       the collector
    1. reads the state; not condemned: done         1. writes the batch, then swaps it into the state
    2. writes a mark for each that is condemned     2. looks for marks: what has one is spared
    3. reads the state again: if it is in the       3. removes the others, each only as long as the state is the
       batch, a push swaps the batch out, and any      same: Driver.delete_fenced
       other response says that it doesn't exist    4. swaps the batch out

If the collector doesn't see the mark in step 2, the mark was written later, so step 3 of the promise sees the batch.
Where nothing is condemned, a push reads the state once, and all other responses together read it once a second.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import structlog

from authproxy.bounded_cache import Bounded
from authproxy.digest import Digest
from authproxy.errors import Unavailable
from authproxy.oci.dependencies import read_dependencies
from authproxy.reference import Repository
from authproxy.registry.gc_marks import Kind, contains, mark_of
from authproxy.registry.links import find_digest, read_manifests
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

    `changed` is called when other things are condemned than before: a response that was cached promises nothing then.
    """

    def __init__(self, driver: Driver, *, changed: Callable[[], None] = lambda: None) -> None:
        self._driver = driver
        self._records = Records(driver)
        self._changed = changed
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
            self._take(parse_state(await self._records.read(state_layout.gc_state())))
        except (OSError, Unavailable) as error:
            log.warning("the collector's state can't be read", reason=str(error))

    async def promises_blob(self, repository: Repository, digest: Digest, stored: Digest) -> bool:
        """Promise that a blob exists. False: it is being deleted, so it doesn't."""
        if self._state is None:
            return True
        return await self._promise(blob_marks(repository, digest, stored))

    async def promises_manifest(self, repository: Repository, digest: Digest, content: bytes) -> bool:
        """Promise that a manifest exists, with all that it needs. False: a part is being deleted, so it doesn't."""
        if self._state is None or not await self._find(self._state, manifest_marks(repository, digest, content)):
            return True
        return await self._promise([mark async for mark in self._closure(repository, digest, content)])

    async def secure_blob(self, repository: Repository, digest: Digest, stored: Digest) -> None:
        """Keep a blob that is being pushed or mounted, whatever is condemned by now. Raises BeingDeleted."""
        await self._secure(blob_marks(repository, digest, stored))

    async def secure_manifest(self, repository: Repository, names: Sequence[Digest], content: bytes) -> None:
        """Keep a manifest that is being pushed, with all that it needs. Raises BeingDeleted."""
        self._take(parse_state(await self._records.read(state_layout.gc_state())))
        if self._state is None:
            return
        marks = {mark for name in names for mark in manifest_marks(repository, name, content)}
        marks.update([mark async for mark in self._closure(repository, names[0], content)])
        await self._secure(marks)

    async def _promise(self, marks: Iterable[bytes]) -> bool:
        wanted = list(marks)
        for _ in range(ATTEMPTS):
            state = self._state
            if state is None or not (condemned := await self._find(state, wanted)):
                return True
            await self._revive(state.epoch, condemned)
            self._take(found := parse_state(await self._records.read(state_layout.gc_state())))
            if found is not None and found.epoch == state.epoch:
                if await self._is_in_batch(found, condemned):
                    return False
                self._revived.update(condemned)
                return True
        raise BeingDeleted(headers=[("Retry-After", "1")])

    async def _secure(self, marks: Collection[bytes]) -> None:
        for _ in range(ATTEMPTS):
            record = await self._records.read(state_layout.gc_state())
            self._take(state := parse_state(record))
            if state is None or not (condemned := await self._find(state, marks)):
                return
            await self._revive(state.epoch, condemned)
            record = await self._records.read(state_layout.gc_state())
            self._take(found := parse_state(record))
            if record is None or found is None or found.epoch != state.epoch:
                continue
            if not await self._is_in_batch(found, condemned):
                self._revived.update(condemned)
                return
            left = found.until - self._driver.clock_s()
            if self._driver.fence_s and left > 0:
                raise BeingDeleted(headers=[("Retry-After", str(max(1, round(left))))])
            if await self._records.swap(record, {**record.fields, "deleting": None}) is not None:
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
            if mark in self._revived or (shard := f"{mark[0]:02x}") not in state.shards:
                continue
            if contains(await self._read_list(state_layout.gc_condemned(state.epoch, shard)), mark):
                found.append(mark)
        return found

    async def _is_in_batch(self, state: Condemned, marks: Iterable[bytes]) -> bool:
        if state.batch is None:
            return False
        batch = await self._read_list(state_layout.gc_deleting(state.epoch, state.batch))
        return any(contains(batch, mark) for mark in marks)

    async def _read_list(self, path: StorePath) -> bytes:
        """A list, which never changes. Empty where it has gone with its epoch, whose deletions are over then."""
        found = self._lists.get(path)
        if found is None:
            [content] = await self._driver.read([path], fresh=True)
            found = content or b""
            self._lists.put(path, found, len(found) + 200)
        return found

    async def _revive(self, epoch: str, marks: Collection[bytes]) -> None:
        await self._driver.write_all([[(state_layout.gc_revived_mark(epoch, mark.hex()), b"1") for mark in marks]])

    async def _closure(self, repository: Repository, digest: Digest, content: bytes) -> AsyncIterator[bytes]:
        waiting = [(digest, content)]
        followed = {digest}
        while waiting:
            name, body = waiting.pop()
            for mark in manifest_marks(repository, name, body):
                yield mark
            needs = read_dependencies(body)
            entries = sorted(needs.blobs | needs.manifests)
            for blob, link in zip(entries, await self._links(repository, entries), strict=True):
                for mark in blob_marks(repository, blob, link or blob):
                    yield mark
            inner = [each for each in sorted(needs.manifests) if each not in followed][: MAX_FOLLOWED - len(followed)]
            followed.update(inner)
            waiting += (await read_manifests(self._driver, repository, inner, fresh=True)).items()

    async def _links(self, repository: Repository, blobs: Sequence[Digest]) -> list[Digest | None]:
        links = await self._driver.read([layout.layer_link(repository, blob) for blob in blobs], fresh=True)
        return [find_digest(link) for link in links]


def blob_marks(repository: Repository, digest: Digest, stored: Digest) -> list[bytes]:
    """The marks of a blob: its links by both of its digests, and its bytes."""
    links = [mark_of(Kind.LAYER, repository, name) for name in dict.fromkeys((digest, stored))]
    return [*links, mark_of(Kind.BYTES, None, stored)]


def manifest_marks(repository: Repository, digest: Digest, content: bytes) -> Iterator[bytes]:
    """The marks of a manifest: its link by a digest, the one by its sha256 digest, and its bytes."""
    stored = digest if digest.algorithm == "sha256" else Digest.of(content)
    for name in dict.fromkeys((digest, stored)):
        yield mark_of(Kind.REVISION, repository, name)
    yield mark_of(Kind.BYTES, None, stored)
