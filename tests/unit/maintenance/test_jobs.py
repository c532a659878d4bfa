"""Jobs: run when they are due, by one process at a time, and seen by the others."""

import asyncio
import datetime as dt
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from authproxy.clock import DailyWindow, parse_window
from authproxy.maintenance.jobs import FIRST_WITHIN_S, RETRY_S, Job, JobHeld, Jobs
from authproxy.maintenance.lease import TERM_S, Lease
from authproxy.metrics.metrics import Metrics
from authproxy.storage.driver import StorageFull
from authproxy.storage.memory import MemoryDriver
from authproxy.storage.records import Fields, Records
from authproxy.storage.state_layout import job_last, job_lease
from tests.support.full_storage import FullMemory

DAY_S = 24 * 3600.0


class Counted:
    """Work that counts its runs."""

    def __init__(self) -> None:
        self.runs = 0
        self._began = asyncio.Event()
        self.fault: Exception | None = None

    async def reached(self, runs: int) -> None:
        while self.runs < runs:
            self._began.clear()
            await self._began.wait()

    async def __call__(self) -> Fields:
        self.runs += 1
        self._began.set()
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        return {"freed": self.runs}


class Node:
    """A process with a clock that is moved by hand, and one job."""

    def __init__(self, driver: MemoryDriver, boot: str, *, at: float = 1000.0, interval_s: float = DAY_S) -> None:
        self.at = at
        self.time_of_day = dt.time(12)
        self.work = Counted()
        self.job = Job("gc", self.work, interval_s)
        self.jobs = Jobs(
            Records(driver), holder=boot, now=lambda: self.at, boot=boot, local_time=lambda: self.time_of_day
        )
        self.lease = Lease(Records(driver), job_lease("gc"), holder=boot, now=lambda: self.at)

    async def round(self) -> float:
        return await self.jobs._round(self.job, self.lease)


@pytest.fixture
def driver() -> MemoryDriver:
    return MemoryDriver()


async def test_a_job_that_never_ran_runs_within_the_first_hour(driver: MemoryDriver) -> None:
    node = Node(driver, "a")
    await node.round()
    node.at += FIRST_WITHIN_S
    await node.round()
    assert node.work.runs == 1
    assert await node.jobs.last("gc") is not None


async def test_a_job_runs_after_its_interval(driver: MemoryDriver) -> None:
    node = Node(driver, "a")
    await node.jobs.run_now(node.job)
    node.at += DAY_S - 1
    await node.round()
    assert node.work.runs == 1
    node.at += 1
    await node.round()
    assert node.work.runs == 2


async def test_a_process_that_restarts_every_day_runs_it_and_not_at_every_start(driver: MemoryDriver) -> None:
    runs = 0
    for half_hour in range(48 * 3):
        node = Node(driver, "a", at=1000 + half_hour * 1800)  # a new process, of the same boot
        for _ in range(3):
            await node.round()
            node.at += 600
        runs += node.work.runs
    assert runs in (2, 3)


async def test_a_machine_that_boots_every_day_runs_it(driver: MemoryDriver) -> None:
    await Node(driver, "yesterday").jobs.run_now(Job("gc", Counted(), DAY_S))
    node = Node(driver, "today", at=5.0)
    await node.round()
    node.at += FIRST_WITHIN_S
    await node.round()
    assert node.work.runs == 1


async def test_a_job_that_ran_on_another_node_waits_its_interval(driver: MemoryDriver) -> None:
    """Whatever that node's clock said."""
    one, other = Node(driver, "a"), Node(driver, "b", at=1e9)
    await one.jobs.run_now(one.job)
    await other.round()  # sees a run that it knows no time of
    other.at += 60
    await one.jobs.run_now(one.job)
    await other.round()
    for _ in range(20):
        other.at += 3600
        await other.round()
    assert other.work.runs == 0
    other.at += 5 * 3600
    await other.round()
    assert other.work.runs == 1


async def test_of_many_that_are_due_one_runs(driver: MemoryDriver) -> None:
    nodes = [Node(driver, str(number), interval_s=0.001) for number in range(8)]
    for node in nodes:
        await node.round()
        node.at += 1
    await asyncio.gather(*(node.round() for node in nodes))
    assert sum(node.work.runs for node in nodes) == 1


async def test_a_job_that_failed_says_so_and_is_tried_again_soon(driver: MemoryDriver) -> None:
    node = Node(driver, "a")
    node.work.fault = OSError("the disk is gone")
    with pytest.raises(OSError, match="the disk is gone"):
        await node.jobs.run_now(node.job)
    last = await node.jobs.last("gc")
    assert last is not None
    assert (last["result"], last["error"], last["succeeded"]) == ("failed", "the disk is gone", None)
    node.work.fault = None
    node.at += 900
    await node.round()
    last = await node.jobs.last("gc")
    assert last is not None
    assert (last["result"], last["report"], last["succeeded"]) == ("done", {"freed": 2}, last["ended"])


async def test_a_run_whose_end_cannot_be_written_is_not_repeated_at_once(
    driver: MemoryDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(driver, "a", interval_s=1.0)
    await node.round()
    node.at += 1
    replace = driver.replace

    async def fail(path: str, content: bytes, *, expected: bytes | None) -> bool:
        if path == job_last("gc"):
            raise OSError("no space left")
        return await replace(path, content, expected=expected)  # type: ignore[arg-type]

    monkeypatch.setattr(driver, "replace", fail)
    await node.round()
    await node.round()
    assert node.work.runs == 1


@asynccontextmanager
async def held_by_another(driver: MemoryDriver, renew_every_s: float) -> AsyncIterator[None]:
    other = Lease(Records(driver), job_lease("gc"), holder="other/7", term_s=0.3)
    assert await other.take()

    async def keep() -> None:
        while True:
            await asyncio.sleep(renew_every_s)
            await other.renew()

    keeping = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeping.cancel()


async def test_a_command_is_refused_while_another_process_runs_the_job(driver: MemoryDriver) -> None:
    said: list[str] = []
    async with held_by_another(driver, 0.05):
        with pytest.raises(JobHeld, match="'other/7'"):
            await Jobs(Records(driver), term_s=0.3).run_now(Job("gc", Counted(), 1), waiting=said.append)
    assert len(said) == 1
    assert "other/7" in said[0]


async def test_a_command_takes_over_from_a_process_that_was_killed(driver: MemoryDriver) -> None:
    async with held_by_another(driver, 60):
        assert await Jobs(Records(driver), term_s=0.3).run_now(Job("gc", Counted(), 1)) == {"freed": 1}


WINDOW = DailyWindow(dt.time(2), dt.time(4))


async def test_a_job_begins_only_in_its_window(driver: MemoryDriver) -> None:
    node = Node(driver, "a")
    node.job = Job("gc", node.work, DAY_S, WINDOW)
    node.at += 10 * DAY_S
    assert await node.round() == 900
    assert node.work.runs == 0
    node.time_of_day = dt.time(3, 59)
    await node.round()
    assert node.work.runs == 1
    node.at, node.time_of_day = node.at + 22 * 3600, dt.time(2)  # late in one window, early in the next
    await node.round()
    assert node.work.runs == 2
    node.at, node.time_of_day = node.at + 3600, dt.time(3)
    await node.round()
    assert node.work.runs == 2


@pytest.mark.parametrize(
    ("text", "at", "opens_in_s"),
    [
        ("02:00-04:00", dt.time(1), 3600),
        ("02:00-04:00", dt.time(2), 0),
        ("02:00-04:00", dt.time(4), 22 * 3600),
        ("22:00 - 02:00", dt.time(1, 59), 0),
        ("22:00-02:00", dt.time(2), 20 * 3600),
        ("00:00-00:00", dt.time(13), 0),
    ],
)
def test_a_window(text: str, at: dt.time, opens_in_s: float) -> None:
    assert parse_window(text).opens_in_s(at) == opens_in_s


@pytest.mark.parametrize("text", ["", "02:00", "2:00-4:00", "24:00-01:00", "02:00-04:60", "02:00-04:00-05:00"])
def test_what_is_no_window(text: str) -> None:
    with pytest.raises(ValueError, match="write 02:00-05:00"):
        parse_window(text)


async def test_runs_are_counted(driver: MemoryDriver) -> None:
    metrics = Metrics()
    jobs = Jobs(Records(driver), metrics=metrics)
    await jobs.run_now(Job("gc", Counted(), 1))
    exposed = (await metrics.expose()).decode()
    assert 'authproxy_job_runs_total{job="gc",result="done"} 1' in exposed
    assert 'authproxy_job_last_success_timestamp_seconds{job="gc"}' in exposed


async def test_the_background_runs_it_again_and_again_and_survives_faults(driver: MemoryDriver) -> None:
    work = Counted()
    jobs = Jobs(Records(driver), term_s=0.01, look_every_s=0.01)
    [(name, run)] = jobs.runners(Job("gc", work, 0.001)).items()
    assert name == "job gc"
    work.fault = OSError("once")
    running = asyncio.create_task(run())
    await asyncio.wait_for(work.reached(2), 10)
    work.fault = None
    await asyncio.wait_for(work.reached(4), 10)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    lease = await Records(driver).read(job_lease("gc"))
    assert lease is not None
    assert lease.fields["released"] is True


async def test_a_job_that_came_too_early_runs_again_when_it_is_due(driver: MemoryDriver) -> None:
    node = Node(driver, "a")
    due_at: float | None = None
    node.job = replace(node.job, due_in_s=lambda: None if due_at is None else due_at - node.at)
    await node.round()
    node.at += FIRST_WITHIN_S
    await node.round()
    due_at = node.at + 7200
    assert await node.round() <= 7200
    node.at += 7199
    await node.round()
    assert node.work.runs == 1
    node.at += 2
    await node.round()
    assert node.work.runs == 2


async def test_a_full_disk_at_the_end_of_a_run_costs_its_record_alone() -> None:
    driver = FullMemory()
    node = Node(driver, "a")
    assert await node.jobs.run_now(node.job) == {"freed": 1}

    async def fills() -> Fields:
        driver.room = 0
        return {"freed": 0}

    assert await node.jobs.run_now(Job("gc", fills, DAY_S)) == {"freed": 0}  # the command says what was done
    driver.room = math.inf
    before = await node.jobs.last("gc")
    assert before is not None
    assert before["report"] == {"freed": 1}
    node.at += RETRY_S - 1
    await node.round()
    assert node.work.runs == 1
    node.at += TERM_S + 1  # the lease could not be given back either: first it is seen, then it has ended
    await node.round()
    node.at += TERM_S + 1
    await node.round()
    assert node.work.runs == 2
    last = await node.jobs.last("gc")
    assert last is not None
    assert last["report"] == {"freed": 2}


async def test_why_a_job_failed_is_raised_where_its_record_has_no_room() -> None:
    driver = FullMemory()

    async def fails() -> Fields:
        driver.room = 0
        raise StorageFull

    with pytest.raises(StorageFull):
        await Node(driver, "a").jobs.run_now(Job("gc", fails, DAY_S))
