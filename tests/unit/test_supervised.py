"""Tasks beside the requests: one that ends is begun again."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from authproxy.supervised import supervised


async def _raise() -> None:
    raise ValueError("the cause")


async def _return() -> None:
    pass


async def _lose_what_it_waits_for() -> None:
    await asyncio.gather(asyncio.create_task(_cancel_yourself()))


async def _cancel_yourself() -> None:
    raise asyncio.CancelledError


ENDS = {"raises": _raise, "returns": _return, "what it waits for is cancelled": _lose_what_it_waits_for}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_a_task_that_ends_begins_again_and_is_told_of(end: object) -> None:
    begun, ended = [0], list[str]()
    goes_on = asyncio.Event()

    async def run() -> None:
        begun[0] += 1
        if begun[0] < 3:
            assert callable(end)
            await end()
        else:
            goes_on.set()
            await asyncio.Event().wait()

    with capture_logs() as logs:
        async with supervised("a job", run, ended.append, retry_s=0.001):
            await asyncio.wait_for(goes_on.wait(), 10)
    assert ended == ["a job", "a job"]
    assert [(line["log_level"], line["task"], line["in_s"]) for line in logs] == [
        ("error", "a job", 0.001),
        ("error", "a job", 0.002),
    ]


async def test_the_end_of_the_block_is_the_end_of_the_task() -> None:
    ended = list[str]()
    is_over = asyncio.Event()

    async def run() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            is_over.set()

    async with supervised("a job", run, ended.append):
        await asyncio.sleep(0)
    assert is_over.is_set()
    assert ended == []


async def _fail_at_the_end() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        raise OSError("the cause")


async def _swallow_the_end() -> None:
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


@pytest.mark.parametrize(("run", "lines"), [(_fail_at_the_end, 1), (_swallow_the_end, 0)], ids=["raises", "returns"])
async def test_a_task_that_does_not_end_by_its_cancellation_ends_all_the_same(
    run: Callable[[], Coroutine[Any, Any, None]], lines: int
) -> None:
    ended = list[str]()
    with capture_logs() as logs:
        async with asyncio.timeout(10):
            async with supervised("a job", run, ended.append, retry_s=60):
                await asyncio.sleep(0)
    assert (ended, len(logs)) == ([], lines)
