"""What one process knows of pulls until it writes it down: once a minute, and nothing where nothing was pulled.

A pull is a GET of a manifest, by tag or by digest, that was answered with 200 or 304. A HEAD is none: clients and
scanners ask for every tag with it. What is recorded, and why a process that was killed makes everything count as
pulled: docs/decisions/0074-record-pulls-by-the-minute.md.
"""

import asyncio
import math
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TypeAlias

import structlog

from authproxy.clock import Clock, uptime_s
from authproxy.digest import Digest
from authproxy.errors import RegistryError
from authproxy.log.alarms import sound
from authproxy.reference import Repository, Tag
from authproxy.registry.pull_segments import MAX_SUBJECT
from authproxy.storage import state_layout
from authproxy.storage.driver import Driver
from authproxy.storage.records import Fields, Records, RecordUnreadable

log = structlog.get_logger(__name__)

# The time from the first pull to the segment that has it, in seconds.
INTERVAL_S = 60.0
# Different pulls in one batch, about 10 MB, and batches that wait for a full disk. With more, what was pulled is
# forgotten, and everything counts as pulled.
MAX_PULLS = 20_000
MAX_BATCHES = 4
# The estimated length of a segment, in bytes: it is read whole.
MAX_SEGMENT_BYTES = 1024 * 1024
# A clock that was set forward by more than this, in seconds, had been wrong before.
STEP_S = 120.0

_Batch: TypeAlias = dict[tuple[Repository, Tag | Digest, Digest], str]


class PullLog:
    """Collects the pulls of one process, and writes them while `recording`.

    `with_subject` False: who pulled is not stored. `now` is the time of day in seconds; `uptime` never goes back.
    """

    def __init__(
        self,
        driver: Driver,
        *,
        with_subject: bool = True,
        interval_s: float = INTERVAL_S,
        max_pulls: int = MAX_PULLS,
        now: Clock = time.time,
        uptime: Clock = uptime_s,
        new_name: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._driver = driver
        self._records = Records(driver)
        self._with_subject = with_subject
        self._interval_s = interval_s
        self._max_pulls = max_pulls
        self._now = now
        self._uptime = uptime
        self._name = new_name()
        self._pulled: _Batch = {}
        self._batches: list[_Batch] = []
        self._is_all = False  # pulls were forgotten, or had wrong times: everything may have been pulled
        self._due = asyncio.Event()
        self._writing = asyncio.Lock()
        self._held: AbstractContextManager[None] | None = None
        self._has_begun = False  # its record is there
        self._segments = 0
        self._floor = 0  # the latest time in the storage: a clock that was set back doesn't count
        self._offset: float | None = None  # between the clocks, at the last segment

    def note(self, repository: Repository, reference: Tag | Digest, stored: Digest, subject: str) -> None:
        """Note one pull. It costs a request about a microsecond, and no wait.

        `stored`: the digest under which the manifest is stored.
        """
        pulled = self._pulled
        pulled[repository, reference, stored] = subject if len(subject) <= MAX_SUBJECT else subject[:MAX_SUBJECT]
        if not self._due.is_set():
            self._due.set()
        if len(pulled) >= self._max_pulls:
            self._put_away()

    @asynccontextmanager
    async def recording(self) -> AsyncIterator[None]:
        """Record for the length of a block: its beginning is in the storage before, and its end says it is complete."""
        await self._try(self._begin)
        try:
            yield
        finally:
            await self.flush()
            await self._try(self._end)

    async def run(self) -> None:
        """Write once in an interval, if there is anything to write, until cancelled."""
        while True:
            await self._due.wait()
            await asyncio.sleep(self._interval_s)
            await self.flush()
            if self._batches or self._is_all:
                self._due.set()

    async def flush(self) -> None:
        """Write what was pulled. Where the storage can't, it is kept, and the fault is logged."""
        async with self._writing:
            self._due.clear()
            if self._pulled:
                self._put_away()
            await self._try(self._write)

    async def _try(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except (RegistryError, OSError) as exc:
            sound("pull times can't be written; they are kept in memory", reason=str(exc) or repr(exc))

    async def _begin(self) -> None:
        """Say that there are pulls that only this process knows, until it takes that back."""
        if self._has_begun:
            return
        if self._held is None:
            held = self._driver.hold(f"pulls-{self._name}")
            held.__enter__()
            self._held = held
        at = self._time()
        await self._records.create(state_layout.pulls_began(), {"at": at})
        await self._records.create(state_layout.pull_writer(self._name), {"began": at})
        self._has_begun = True
        with suppress(RecordUnreadable):
            for path in (state_layout.pulls_began(), state_layout.pulls_merged()):
                record = await self._records.read(path)
                for key in ("at", "latest", "all"):
                    found = 0 if record is None else record.fields.get(key, 0)
                    self._floor = max(self._floor, found if isinstance(found, int) else 0)

    async def _write(self) -> None:
        if not self._batches and not self._is_all:
            return
        await self._begin()
        at = self._time()
        self._look_at_clock()
        if self._is_all:
            self._is_all = False
            try:
                await self._add({"to": at, "all": True, "pulls": {}})
            except BaseException:
                self._is_all = True
                raise
        while self._batches:
            batch = self._batches[0]
            for fields in self._encode(batch, at):
                await self._add(fields)
            if self._batches and self._batches[0] is batch:  # else they were forgotten meanwhile
                del self._batches[0]

    async def _end(self) -> None:
        """Say that the storage has all pulls of this process. It doesn't where some could not be written."""
        if self._has_begun and not self._batches and not self._pulled and not self._is_all:
            await self._driver.delete(state_layout.pull_writer(self._name))
        if self._held is not None:
            self._held.__exit__(None, None, None)

    async def _add(self, fields: Fields) -> None:
        self._segments += 1
        written = datetime.fromtimestamp(fields["to"], UTC)
        name = f"{written:%Y%m%dT%H%M%SZ}-{self._name}-{self._segments}"
        await self._records.create(state_layout.pull_segment(name), fields)

    def _encode(self, batch: _Batch, at: int) -> list[Fields]:
        """One segment, or several where it would be long."""
        segments: list[Fields] = []
        pulls: dict[str, dict[str, dict[str, str | None]]] = {}
        length = 0
        for (repository, reference, stored), subject in batch.items():
            tag = "" if isinstance(reference, Digest) else reference
            # A foreign token's subject may have lone surrogates, which UTF-8 has not.
            by = subject.encode("utf-8", "replace").decode() if self._with_subject else None
            pulls.setdefault(repository, {}).setdefault(stored.hex, {})[tag] = by
            length += 100 + len(repository) + len(tag) + 6 * len(by or "")
            if length >= MAX_SEGMENT_BYTES:
                segments.append({"to": at, "pulls": pulls})
                pulls, length = {}, 0
        return [*segments, {"to": at, "pulls": pulls}] if pulls else segments

    def _put_away(self) -> None:
        self._batches.append(self._pulled)
        self._pulled = {}
        if len(self._batches) > MAX_BATCHES:
            self._batches.clear()
            self._is_all = True

    def _time(self) -> int:
        """The time of a segment: after all of its pulls, and never before what the storage has."""
        self._floor = max(self._floor, math.ceil(self._now()))
        return self._floor

    def _look_at_clock(self) -> None:
        """A clock that was set forward was behind before, and so were the times of the segments."""
        offset = self._now() - self._uptime()
        if self._offset is not None and offset > self._offset + STEP_S:
            log.warning(
                "the clock was set forward: every image counts as pulled now", by_s=round(offset - self._offset)
            )
            self._is_all = True
        self._offset = offset
