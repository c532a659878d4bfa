"""A lease: the record of the process that does something at the moment, so that no other does it too.

It saves work and guards nothing: a process that slept may go on beside the one that took over. So whatever runs under a
lease must be right with two holders. No two clocks are compared: a lease is taken over when its record was unchanged
for its term by the taker's own clock. See docs/decisions/0070-run-jobs-under-leases.md.
"""

import asyncio
import datetime as dt
import os
import secrets
import socket
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

import structlog

from authproxy.clock import Clock, uptime_s
from authproxy.storage.layout import StorePath
from authproxy.storage.records import Record, Records

log = structlog.get_logger(__name__)

T = TypeVar("T")

# How long a lease may stay unchanged, in seconds, and how often its holder renews it in that time.
TERM_S = 60.0
RENEWALS = 4
# Whatever a record says: it must not keep others away for longer.
MAX_TERM_S = 600.0
# How long a stopped process may try to give its lease back.
RELEASE_WITHIN_S = 5.0


class LeaseLost(Exception):
    """Another process has taken the lease over."""


def this_process() -> str:
    """A name for this process that people recognise: host, process number, and a part that is never repeated."""
    return f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"


class Lease:
    """A lease as one process sees it. `now` never goes back and runs while suspended."""

    def __init__(
        self, records: Records, path: StorePath, *, holder: str, term_s: float = TERM_S, now: Clock = uptime_s
    ) -> None:
        self.term_s = term_s
        self.found: Mapping[str, Any] = {}  # what the record said at the last look: `holder`, `since`
        self._records = records
        self._path = path
        self._holder = holder
        self._now = now
        self._seen: tuple[bytes, float] | None = None  # another's lease, and since when we know it to be unchanged
        self._own: Record | None = None

    @property
    def is_held(self) -> bool:
        """Whether this process holds it, as far as it knows."""
        return self._own is not None

    def __repr__(self) -> str:
        return f"Lease({str(self._path)!r}, {'held' if self._own else 'not held'})"

    async def take(self) -> bool:
        """Take the lease if it is free, or was unchanged for its term since this object first saw it.

        False: another process holds it, or was faster; ask again later. Raises RecordUnreadable, StorageFull.
        """
        record = await self._records.read(self._path)
        if record is not None and not self._is_free(record):
            return False
        since = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        fields = {"holder": self._holder, "since": since, "term_s": self.term_s}
        if record is None:
            self._own = await self._records.create(self._path, fields)
        else:
            self._own = await self._records.swap(record, fields)
        self._seen = None
        return self._own is not None

    async def renew(self) -> bool:
        """Say that the holder lives. False: the lease is another's. Raises the storage's errors."""
        if self._own is not None:
            self._own = await self._records.swap(self._own, self._own.fields)
        return self._own is not None

    async def release(self) -> None:
        """Give it back, if it is still ours. A lease that can't be given back ends by itself."""
        own, self._own = self._own, None
        if own is None:
            return
        try:
            async with asyncio.timeout(RELEASE_WITHIN_S):
                await self._records.swap(own, {"released": True})
        except Exception as exc:  # noqa: BLE001 - whatever it was: others take it over after its term
            log.warning("a lease was not given back, and ends by itself", record=str(self._path), reason=str(exc))

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `work` and keep the lease, which this process holds, meanwhile. Then give it back.

        Raises LeaseLost if another process takes it over: `work` is cancelled.
        """
        working = asyncio.create_task(work())
        keeping = asyncio.create_task(self._keep())
        try:
            await asyncio.wait([working, keeping], return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise LeaseLost
            return working.result()
        finally:
            await _end(working)
            await _end(keeping)
            await self.release()

    async def _keep(self) -> None:
        """Renew until the lease is lost. While the storage fails, it is tried again: the work goes on."""
        while True:
            await asyncio.sleep(self.term_s / RENEWALS)
            renewing = asyncio.create_task(self.renew())
            try:
                if not await asyncio.shield(renewing):
                    return
            except asyncio.CancelledError:
                # The storage may carry it out all the same: what is given back has to be the lease that it leaves.
                await asyncio.wait([renewing], timeout=RELEASE_WITHIN_S)
                await _end(renewing)
                raise
            except Exception as exc:  # noqa: BLE001 - an error of the storage; the next attempt is due soon
                log.warning("a lease could not be renewed", record=str(self._path), reason=str(exc))

    def _is_free(self, record: Record) -> bool:
        self.found = record.fields
        if record.fields.get("released") is True:
            return True
        now = self._now()
        if self._seen is None or self._seen[0] != record.content:
            self._seen = record.content, now
        term_s = record.fields.get("term_s")
        if not isinstance(term_s, int | float) or not 0 < term_s <= MAX_TERM_S:
            term_s = MAX_TERM_S
        return now - self._seen[1] >= term_s


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # it was seen
