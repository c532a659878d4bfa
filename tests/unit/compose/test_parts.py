"""What runs beside the requests: all of it starts, all of it ends, and a part that fails is heard."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from authproxy.compose.parts import Parts
from authproxy.health.checks import Checks
from authproxy.metrics.metrics import Metrics


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


async def test_a_part_that_fails_is_told_and_ends_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    made = parts()
    failed = asyncio.Event()

    async def fail() -> None:
        failed.set()
        raise ValueError("the cause")

    made.runners["a job"] = fail
    async with made.running():
        await failed.wait()
        await asyncio.sleep(0)
    told = capsys.readouterr()
    assert "a job" in told.out + told.err
    assert "the cause" in told.out + told.err


async def test_what_was_begun_ends_where_the_block_fails() -> None:
    made, closed = parts(), []

    async def close() -> None:
        closed.append(True)

    made.closers.append(close)
    with pytest.raises(RuntimeError):
        async with made.running():
            raise RuntimeError
    assert closed == [True]
