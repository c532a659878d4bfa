"""Concurrent work on items, with results in the order of the items."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

Thing = TypeVar("Thing")
Result = TypeVar("Result")


async def in_order(
    things: AsyncIterator[Thing], work: Callable[[Thing], Awaitable[Result]], *, at_once: int
) -> AsyncIterator[tuple[Thing, "asyncio.Future[Result]"]]:
    """Yields (item, finished future) in input order with at most `at_once` tasks running.

    Pending tasks are cancelled if the loop is left early. An error of `things` is raised after the results of the items
    before it.
    """
    ahead: deque[tuple[Thing, asyncio.Future[Result]]] = deque()
    fault: Exception | None = None
    ends = False
    try:
        while True:
            while not ends and len(ahead) < at_once:
                try:
                    thing = await anext(things)
                except StopAsyncIteration:
                    ends = True
                except Exception as error:  # noqa: BLE001 - any error is raised below
                    ends, fault = True, error
                else:
                    ahead.append((thing, asyncio.ensure_future(work(thing))))
            if not ahead:
                break
            await asyncio.wait([ahead[0][1]])
            yield ahead.popleft()
    finally:
        for _, task in ahead:
            task.cancel()
        await asyncio.gather(*(task for _, task in ahead), return_exceptions=True)
    if fault is not None:
        raise fault
