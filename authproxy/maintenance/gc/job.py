"""The job of a server that looks after space: retention by the policies, then the garbage collector."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog

from authproxy.clock import DailyWindow, uptime_s
from authproxy.errors import StartError, Unavailable
from authproxy.log.alarms import sound
from authproxy.maintenance.gc.collector import CollectOptions, Collector, StorageSpace
from authproxy.maintenance.gc.pace import Pace
from authproxy.maintenance.jobs import Job, Jobs
from authproxy.maintenance.ticks import Ticks
from authproxy.metrics.families import GC_REMOVED_BYTES, GC_REMOVED_LINKS, UPLOADS_PURGED
from authproxy.metrics.metrics import Metrics
from authproxy.storage import state_layout
from authproxy.storage.driver import Driver
from authproxy.storage.records import Fields, Records
from authproxy.supervised import Runner

log = structlog.get_logger(__name__)

NAME = "gc"

# How often to see whether collection has been enabled, in seconds; and how often whether policies ask for retention.
LOOK_EVERY_S = 60.0
LOOKS_AT_POLICIES = 15


class Retains(Protocol):
    """Retention: see maintenance/retention/run.py."""

    async def run(self) -> Fields:
        """Remove what the policies don't keep. Raises what keeps it from running."""


class GarbageCollection:
    """What the job does. `retention`: None where there are no policies."""

    def __init__(
        self,
        driver: Driver,
        options: CollectOptions,
        *,
        interval_s: float,
        window: DailyWindow | None = None,
        pace: Pace | None = None,
        retention: Retains | None = None,
        has_retention: Callable[[], bool] = lambda: False,
        space: Callable[[], StorageSpace | None] = lambda: None,
        metrics: Metrics | None = None,
    ) -> None:
        self._driver = driver
        self._options = options
        self._records = Records(driver)
        self._tick_s = options.tick_s
        self._pace = pace
        self._retention = retention
        self._has_retention = has_retention
        self._space = space
        self._metrics = metrics
        self._grace_ends_at: float | None = None  # by our clock: the last run came too early
        self.job = Job(NAME, self.work, interval_s, window, self._due_in_s)

    async def is_enabled(self) -> bool:
        """Whether collection is on."""
        return await self._records.read(state_layout.gc_enabled()) is not None

    async def work(self) -> Fields:
        """Run once. Returns the report."""
        report: dict[str, object] = {}
        if self._retention is not None:
            try:
                report["retention"] = await self._retention.run()
            except (StartError, OSError, Unavailable, ValueError) as error:
                sound("retention did not run", reason=str(error) or repr(error))
                report["retention"] = {"error": str(error)}
        if await self.is_enabled():
            collected = await Collector(
                self._driver,
                self._options,
                pace=self._pace,
                ticks=Ticks(self._records, tick_s=self._tick_s),
                space=self._space,
            ).run()
            report["collected"] = collected.to_json()
            self._grace_ends_at = None
            if collected.is_waiting and collected.grace_left_s is not None:
                self._grace_ends_at = uptime_s() + max(collected.grace_left_s, self._tick_s)
            if self._metrics is not None:
                self._metrics.count(GC_REMOVED_BYTES, by=collected.swept.bytes)
                self._metrics.count(UPLOADS_PURGED, by=collected.uploads)
                self._metrics.count(GC_REMOVED_LINKS, by=collected.swept.revisions + collected.swept.layers)
        return report

    def _due_in_s(self) -> float | None:
        """The time until a grace ends for which the last run came too early."""
        return None if self._grace_ends_at is None else self._grace_ends_at - uptime_s()

    def runners(self, jobs: Jobs) -> dict[str, Runner]:
        """What a server runs. Until there is something to do, nothing is written."""
        [(name, run)] = jobs.runners(self.job).items()
        return {name: partial(self._run_when_needed, run), "count time for gc": self._keep_time}

    async def _run_when_needed(self, run: Callable[[], Awaitable[None]]) -> None:
        look = 0
        while not await self._has_started(look):
            await asyncio.sleep(LOOK_EVERY_S)
            look += 1
        await run()

    async def _has_started(self, look: int) -> bool:
        try:
            if await self.is_enabled():
                return True
            if self._retention is None or look % LOOKS_AT_POLICIES != 0:
                return False
            return await asyncio.to_thread(self._has_retention)
        except (StartError, OSError, Unavailable) as error:
            log.warning("whether there is something to collect can't be read", reason=str(error))
            return False

    async def _keep_time(self) -> None:
        """Count the time of graces and of the trash, while something waits for its end."""
        ticks = Ticks(self._records, tick_s=self._tick_s)
        while True:
            try:
                if await self.is_enabled() and await self._is_waiting():
                    await ticks.advance()
            except (OSError, Unavailable) as error:
                log.warning("time is not counted", reason=str(error))
            await asyncio.sleep(self._tick_s)

    async def _is_waiting(self) -> bool:
        state = await self._records.read(state_layout.gc_state())
        if state is not None and state.fields.get("epoch"):
            return True
        return bool(await self._driver.list_names(state_layout.trash(), limit=1))


def space_of(folder: Path) -> StorageSpace | None:
    """The space of a folder's file system, as its users see it."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return StorageSpace(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)
