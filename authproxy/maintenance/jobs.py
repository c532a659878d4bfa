"""Jobs: what looks after the storage from time to time, in the background or by a command.

A job runs on one process at a time, whatever number of nodes and workers share the storage: it holds the job's lease
(maintenance/lease.py), and writes a record of how it ended, by which the others see that it need not run. Both only
save work: a job must be right if two processes run it at once, one of which slept.

When the last run ended is known by this process's own clock: it is when the record changed while we looked, or its time
since boot if this machine wrote it since it was booted. Otherwise (after a boot, or on a new node) it is unknown, and
the job runs at a random time within FIRST_WITHIN_S. See docs/decisions/0070-run-jobs-under-leases.md.
"""

import asyncio
import datetime as dt
import math
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import structlog

from authproxy.clock import Clock, DailyWindow, boot_id, uptime_s
from authproxy.errors import StartError, Unavailable
from authproxy.log.alarms import sound
from authproxy.maintenance.lease import TERM_S, Lease, LeaseLost, this_process
from authproxy.metrics.families import JOB_DURATION, JOB_LAST_SUCCESS, JOB_RUNS
from authproxy.metrics.metrics import Metrics
from authproxy.storage.records import Fields, Record, Records
from authproxy.storage.state_layout import job_last, job_lease
from authproxy.supervised import Runner

log = structlog.get_logger(__name__)

# A job whose last run is unknown begins within this time, in seconds, or within its interval if that is shorter.
FIRST_WITHIN_S = 3600.0
# How often to see whether another process has run it, in seconds.
LOOK_EVERY_S = 900.0
# How soon a job that failed runs again, in seconds, unless its interval is shorter.
RETRY_S = 900.0

# Does the work once, and returns what is worth keeping of it, as JSON.
Work: TypeAlias = Callable[[], Coroutine[Any, Any, Fields]]


@dataclass(frozen=True, slots=True)
class Job:
    """Work that is done again and again.

    `name` is part of a path: letters, digits and hyphens. `interval_s` is from the end of a run to the beginning of the
    next, which begins only in the `window`. `work` may be cancelled at any time, and must be right if another process
    does it too. `due_in_s`: the time until the next run where that is known and earlier.
    """

    name: str
    work: Work
    interval_s: float
    window: DailyWindow | None = None
    due_in_s: Callable[[], float | None] = lambda: None


class JobHeld(StartError):
    """Another process runs the job."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What this process knows of the last run."""

    content: bytes | None  # of its record; None: there is none
    ended_at: float  # by our clock; for an unknown time one that makes the job due at a random time
    failed: bool


class Jobs:
    """Runs jobs over one storage. `now` never goes back and runs while suspended."""

    def __init__(
        self,
        records: Records,
        *,
        metrics: Metrics | None = None,
        holder: str | None = None,
        term_s: float = TERM_S,
        look_every_s: float = LOOK_EVERY_S,
        first_within_s: float = FIRST_WITHIN_S,
        now: Clock = uptime_s,
        local_time: Callable[[], dt.time] = lambda: dt.datetime.now().astimezone().time(),
        boot: str | None = None,
    ) -> None:
        self._records = records
        self._metrics = metrics
        self._holder = holder or this_process()
        self._term_s = term_s
        self._look_every_s = look_every_s
        self._first_within_s = first_within_s
        self._now = now
        self._local_time = local_time
        self._boot = boot or boot_id()
        self._seen: dict[str, _Seen] = {}
        self._succeeded: dict[str, float] = {}
        if metrics is not None:
            metrics.watch(JOB_LAST_SUCCESS, lambda: {(name,): at for name, at in dict(self._succeeded).items()})

    def runners(self, *jobs: Job) -> dict[str, Runner]:
        """What runs these jobs in the background, each by a short description."""
        return {f"job {job.name}": partial(self.keep_running, job) for job in jobs}

    async def keep_running(self, job: Job) -> None:
        """Run a job whenever it is due, until cancelled. A fault is logged, and the job is tried again."""
        lease = self._lease(job)
        while True:
            try:
                wait_s = await self._round(job, lease)
            except Exception as exc:  # noqa: BLE001 - no error of the storage may end a job for good
                sound("a job could not begin", reason=str(exc) or repr(exc), job=job.name)
                wait_s = self._term_s
            await asyncio.sleep(wait_s)

    async def run_now(
        self, job: Job, *, waiting: Callable[[str], None] = lambda _: None, counts: bool = True
    ) -> Fields:
        """Run a job for a command, whether it is due or not, and return what its work returned.

        `counts`: false where this is not all of the job, which stays due as it was.

        If another process holds its lease, calls `waiting` with a sentence, and watches whether that process renews it.
        Raises JobHeld, LeaseLost, what the work raises, and the storage's errors.
        """
        lease = self._lease(job)
        found: Fields | None = None
        while not await lease.take():
            if found is None:
                found = lease.found
                waiting(f"{_described(job.name, found)}; waiting to see whether it still lives")
            elif lease.found.get("nonce") != found.get("nonce"):  # renewed
                raise JobHeld(f"{_described(job.name, lease.found)}; wait for its end, or stop that process")
            await asyncio.sleep(min(1.0, self._term_s / 10))
        return await (self._run(job, lease) if counts else lease.run(job.work))

    async def last(self, name: str) -> Fields | None:
        """The record of a job's last run. None: it has never run, or before records began.

        `result` is `done` or `failed`; `began`, `ended` and `succeeded` are RFC 3339, by the clock of the node that ran
        it; `seconds`, `holder`; `report` is what the work returned, `error` why it failed.
        """
        record = await self._records.read(job_last(name))
        return None if record is None else record.fields

    async def _round(self, job: Job, lease: Lease) -> float:
        """Look, and run the job if it is due. Returns how long to wait before the next round, in seconds."""
        if (wait_s := self._due_in_s(job, await self._look(job))) > 0:
            return min(wait_s, self._look_every_s)
        if not await lease.take():
            return self._term_s / 4  # to see its end, or that its holder is gone
        if (wait_s := self._due_in_s(job, await self._look(job))) > 0:  # it ended just now
            await lease.release()
            return min(wait_s, self._look_every_s)
        try:
            await self._run(job, lease)
        except LeaseLost:
            log.warning("a job was ended: another process has taken over", job=job.name)
        except Exception as exc:
            log.exception("a job has failed", job=job.name, reason=str(exc) or repr(exc))
        return min(self._look_every_s, self._term_s)

    async def _run(self, job: Job, lease: Lease) -> Fields:
        """Run it under its lease, which is held, and write how it ended before the lease is given back."""
        return await lease.run(partial(self._work, job))

    async def _work(self, job: Job) -> Fields:
        began, began_s = dt.datetime.now(dt.UTC), self._now()
        log.info("a job begins", job=job.name)
        result, about = "cancelled", dict[str, Any]()
        try:
            report = await job.work()
            result, about = "done", {"report": dict(report)}
        except Exception as exc:
            result, about = "failed", {"error": str(exc) or repr(exc)}
            raise
        finally:
            seconds = self._now() - began_s
            if self._metrics is not None:
                self._metrics.count(JOB_RUNS, job.name, result)
                self._metrics.count(JOB_DURATION, job.name, by=seconds)
            if result != "cancelled":
                log.info("a job has ended", job=job.name, result=result, seconds=round(seconds, 1))
                known = self._seen.get(job.name)
                # Where it can't be written: due as after a failure, for this process.
                self._seen[job.name] = _Seen(None if known is None else known.content, self._now(), failed=True)
                fields = {"result": result, "began": _rfc3339(began), "seconds": round(seconds, 3), **about}
                try:
                    await self._note(job, fields)
                except (OSError, Unavailable) as exc:  # what the work has done, or why it failed, is worth more
                    sound("the record of a job can't be written", reason=str(exc) or repr(exc), job=job.name)
        return report

    async def _note(self, job: Job, fields: Mapping[str, Any]) -> None:
        ended = _rfc3339(dt.datetime.now(dt.UTC))

        def change(before: Fields) -> Fields:
            succeeded = ended if fields["result"] == "done" else before.get("succeeded")
            own = {"ended": ended, "succeeded": succeeded, "holder": self._holder}
            return {**fields, **own, "boot": self._boot, "uptime_s": self._now()}

        self._see(job, await self._records.update(job_last(job.name), change))

    async def _look(self, job: Job) -> _Seen:
        return self._see(job, await self._records.read(job_last(job.name)))

    def _see(self, job: Job, record: Record | None) -> _Seen:
        known = self._seen.get(job.name)
        content = None if record is None else record.content
        if known is None or known.content != content:
            fields = {} if record is None else record.fields
            ended_at = self._ended_at(job, fields, is_first_look=known is None)
            self._seen[job.name] = known = _Seen(content, ended_at, fields.get("result") == "failed")
            if (succeeded := _parsed(fields.get("succeeded"))) is not None:
                self._succeeded[job.name] = succeeded
        return known

    def _ended_at(self, job: Job, fields: Fields, *, is_first_look: bool) -> float:
        now, noted = self._now(), fields.get("uptime_s")
        is_same_clock = self._boot is not None and fields.get("boot") == self._boot
        if is_same_clock and isinstance(noted, int | float) and 0 <= noted <= now:
            return float(noted)
        if not is_first_look:
            return now
        first_within_s = min(self._first_within_s, job.interval_s)
        return now - job.interval_s + random.SystemRandom().uniform(0, first_within_s)

    def _due_in_s(self, job: Job, seen: _Seen) -> float:
        after_s = min(RETRY_S, job.interval_s) if seen.failed else job.interval_s
        sooner_s = None if seen.failed else job.due_in_s()
        if job.window is None or sooner_s is not None:
            due_s = min(seen.ended_at + after_s - self._now(), math.inf if sooner_s is None else sooner_s)
            return max(due_s, 0.0 if job.window is None else job.window.opens_in_s(self._local_time()))
        # Late in one window and early in the next one is less than a day apart.
        after_s = max(after_s - job.window.length_s, after_s / 2)
        return max(seen.ended_at + after_s - self._now(), job.window.opens_in_s(self._local_time()))

    def _lease(self, job: Job) -> Lease:
        return Lease(self._records, job_lease(job.name), holder=self._holder, term_s=self._term_s, now=self._now)


def _described(name: str, held: Fields) -> str:
    return f"the job {name} is being run by {held.get('holder')!r} since {held.get('since')!r}"


def _rfc3339(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _parsed(text: object) -> float | None:
    try:
        return dt.datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except ValueError:
        return None
