"""What runs beside the requests: all of it starts, all of it ends, and a part that fails is heard."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest

from authproxy.health.checks import Checks
from authproxy.metrics.metrics import Metrics
from authproxy.wiring.lifespan import Parts


def parts() -> Parts:
    return Parts(Metrics(), Checks(()))


async def test_everything_runs_for_the_length_of_a_block_and_is_closed_after_it_has_ended() -> None:
    made, seen = parts(), []
    runs = asyncio.Event()

    async def run() -> None:
        seen.append("runs")
        runs.set()
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("ended")

    async def close() -> None:
        seen.append("closed")

    @asynccontextmanager
    async def serve() -> AsyncIterator[None]:
        seen.append("serves")
        yield
        seen.append("serves no more")

    made.runners["a job"] = run
    made.closers.append(close)
    made.servers.append(serve)
    async with made.running():
        await runs.wait()
    assert sorted(seen[:2]) == ["runs", "serves"]
    assert seen[2:] == ["serves no more", "ended", "closed"]


async def test_a_part_that_fails_is_told_and_counted_and_ends_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    made = parts()
    failed = asyncio.Event()

    async def fail() -> None:
        failed.set()
        raise ValueError("the cause")

    made.runners["a job"] = fail
    async with made.running():
        await failed.wait()
        await asyncio.sleep(0)
        assert b'authproxy_task_restarts_total{task="a job"} 1' in await made.metrics.expose()
    told = capsys.readouterr()
    assert "a job" in told.out + told.err
    assert "the cause" in told.out + told.err


async def test_what_is_read_again_is_looked_at_and_its_looks_can_be_seen() -> None:
    made, looked = parts(), asyncio.Event()
    loop = asyncio.get_running_loop()

    class Users:
        part: ClassVar = "users"
        takes_access_away: ClassVar = True

        def refresh(self) -> None:
            loop.call_soon_threadsafe(looked.set)
            raise OSError(24, "Too many open files")

    made.reloadables.append(Users())
    assert made.takes_access_away
    async with made.running():
        await asyncio.wait_for(looked.wait(), 10)
        while not made.watch.failures()["users",]:
            await asyncio.to_thread(time.sleep, 0.01)
        shown = await made.metrics.expose()
    assert b'authproxy_reload_failures_total{part="users"} 1' in shown
    assert b'authproxy_reload_last_success_timestamp_seconds{part="users"}' in shown


async def test_what_was_begun_ends_where_the_block_fails() -> None:
    made, closed = parts(), []

    async def close() -> None:
        closed.append(True)

    made.closers.append(close)
    with pytest.raises(RuntimeError):
        async with made.running():
            raise RuntimeError
    assert closed == [True]
