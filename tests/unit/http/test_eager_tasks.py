"""A task that begins at once is a task as any other."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest

from authproxy.http.eager_tasks import complete, start_task

VARIABLE: ContextVar[str] = ContextVar("VARIABLE", default="unset")


async def start(make: Callable[[], Coroutine[Any, Any, None]]) -> "asyncio.Task[None]":
    """Start it as a reader of a socket does: in a callback, where no task runs."""
    loop = asyncio.get_running_loop()
    started: asyncio.Future[asyncio.Task[None]] = loop.create_future()
    loop.call_soon(lambda: started.set_result(start_task(loop, make())))
    return await started


async def test_what_never_waits_has_ended_when_it_is_returned() -> None:
    seen = []

    async def work() -> None:
        seen.append(asyncio.current_task())

    loop = asyncio.get_running_loop()
    done: asyncio.Future[bool] = loop.create_future()
    loop.call_soon(lambda: done.set_result(start_task(loop, work()).done()))
    assert await done
    assert isinstance(seen[0], asyncio.Task)


async def test_what_waits_goes_on_in_the_same_task_and_context() -> None:
    seen = []

    async def work() -> None:
        token = VARIABLE.set("its own")
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())
        VARIABLE.reset(token)

    task = await start(work)
    await task
    assert seen == [task, task]
    assert VARIABLE.get() == "unset"


async def test_a_time_limit_works_from_the_first_line_on() -> None:
    async def work() -> None:
        async with asyncio.timeout(0):
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        await (await start(work))


async def test_a_task_group_works_from_the_first_line_on() -> None:
    async def fail() -> None:
        raise ValueError

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())

    with pytest.raises(ExceptionGroup):
        await (await start(work))


async def test_a_variable_of_one_is_not_seen_by_the_next() -> None:
    seen = []

    async def work() -> None:
        seen.append(VARIABLE.get())
        VARIABLE.set("left behind")

    await (await start(work))
    await (await start(work))
    assert seen == ["unset", "unset"]


async def test_it_can_be_cancelled() -> None:
    async def work() -> None:
        await asyncio.sleep(60)

    task = await start(work)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_it_raises_is_kept_for_who_asks() -> None:
    async def work() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await (await start(work))


async def test_who_waits_for_a_future_goes_on_before_the_call_returns() -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    seen: list[object] = []

    async def work() -> None:
        token = VARIABLE.set("its own")
        await future
        seen.append(VARIABLE.get())
        seen.append(asyncio.current_task())
        VARIABLE.reset(token)
        await asyncio.sleep(0)
        seen.append("after its next wait")

    def finish() -> None:
        complete(loop, future)
        seen.append("returned")

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    loop.call_soon(finish)
    await task
    assert seen == ["its own", task, "returned", "after its next wait"]
    assert "call_soon" not in vars(loop)


async def test_the_loop_is_as_it_was() -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    await (await start(work))
    assert "call_soon" not in vars(asyncio.get_running_loop())
