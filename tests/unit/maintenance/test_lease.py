"""Leases: taken over by the taker's own clock alone, and lost to the process that took over."""

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from authproxy.maintenance.lease import MAX_TERM_S, Lease, LeaseLost
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.layout import StorePath
from authproxy.storage.memory import MemoryDriver
from authproxy.storage.records import Records
from authproxy.storage.state_layout import job_lease

PATH = job_lease("gc")


class Hand:
    """A clock that is moved by hand."""

    def __init__(self, at: float = 0.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


@pytest.fixture(params=["filesystem", "memory"])
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    made: Driver = FilesystemDriver(tmp_path, threads=4) if request.param == "filesystem" else MemoryDriver()
    yield made
    await made.close()


def lease(driver: Driver, holder: str, now: Hand, term_s: float = 60.0) -> Lease:
    return Lease(Records(driver), PATH, holder=holder, term_s=term_s, now=now)


async def test_of_many_that_take_a_lease_one_gets_it(driver: Driver) -> None:
    took = await asyncio.gather(*(lease(driver, str(number), Hand()).take() for number in range(8)))
    assert took.count(True) == 1


async def test_a_lease_that_was_given_back_is_free(driver: Driver) -> None:
    one, other = lease(driver, "one", Hand()), lease(driver, "other", Hand())
    assert await one.take()
    assert not await other.take()
    assert other.found["holder"] == "one"
    await one.release()
    assert await other.take()


async def test_a_lease_is_taken_over_when_it_was_unchanged_for_its_term(driver: Driver) -> None:
    """By the taker's clock alone: that of the holder may be years ahead."""
    clock = Hand()
    one, other = lease(driver, "one", Hand(1e9)), lease(driver, "other", clock)
    assert await one.take()
    for clock.at in (1000, 1059):
        assert not await other.take()
    assert await one.renew()
    for clock.at in (1060, 1119):
        assert not await other.take()
    clock.at = 1120
    assert await other.take()
    assert not await one.renew()
    assert not one.is_held


async def test_the_first_look_takes_nothing_over_however_old_the_lease_is(driver: Driver) -> None:
    assert await lease(driver, "one", Hand()).take()
    assert not await lease(driver, "other", Hand(1e9)).take()


@pytest.mark.parametrize("term", [1e12, -5, "for ever", None, float("nan")], ids=str)
async def test_no_record_keeps_others_away_for_ever(driver: Driver, term: object) -> None:
    assert await Records(driver).create(PATH, {"holder": "x", "term_s": term})
    clock = Hand()
    other = lease(driver, "other", clock)
    assert not await other.take()
    clock.at = MAX_TERM_S
    assert await other.take()


async def test_work_whose_lease_was_taken_over_is_cancelled(driver: Driver) -> None:
    clock, ended = Hand(), asyncio.Event()
    one, other = lease(driver, "one", Hand(), term_s=0.04), lease(driver, "other", clock, term_s=0.04)

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    assert await one.take()
    running = asyncio.create_task(one.run(work))
    await asyncio.sleep(0)
    assert not await other.take()
    clock.at = 1e6  # it slept: nothing of its renewals was seen
    while not await other.take():
        clock.at += 1
    with pytest.raises(LeaseLost):
        await asyncio.wait_for(running, 10)
    assert ended.is_set()
    assert other.is_held
    await asyncio.sleep(0.02)
    assert await other.renew()  # a process that lost it gives nothing back


async def test_a_lease_that_is_renewed_as_the_work_ends_is_given_back(tmp_path: Path) -> None:
    """The storage carries a renewal out that nobody waits for any more."""
    begun = asyncio.Event()

    class Slow(FilesystemDriver):
        async def replace(
            self, path: StorePath, content: bytes, *, expected: bytes | None, until: float = math.inf
        ) -> bool:
            if expected is not None:
                begun.set()
                replacing = asyncio.create_task(super().replace(path, content, expected=expected, until=until))
                await asyncio.sleep(0.05)
                return await replacing
            return await super().replace(path, content, expected=expected, until=until)

    driver = Slow(tmp_path, threads=4)
    one = Lease(Records(driver), PATH, holder="one", term_s=0.2)
    assert await one.take()
    await one.run(begun.wait)
    assert await Lease(Records(driver), PATH, holder="other").take()
    await driver.close()


async def test_long_work_keeps_its_lease(driver: Driver) -> None:
    one = Lease(Records(driver), PATH, holder="one", term_s=0.2)
    other = Lease(Records(driver), PATH, holder="other", term_s=0.2)
    took: list[bool] = []

    async def work() -> str:
        for _ in range(20):
            took.append(await other.take())
            await asyncio.sleep(0.03)
        return "done"

    assert await one.take()
    assert await one.run(work) == "done"
    assert not any(took)
    assert await other.take()
