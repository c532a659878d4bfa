"""Tasks that begin at once, in the caller's stack: most requests are answered without waiting for anything."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any


def start_task(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    """A task that has been run up to its first wait, or to its end: ask `done()`.

    To the coroutine it is a task as any other, from its first line on: `asyncio.timeout`, task groups and context
    variables work. Not to be called from within a task, and only with a loop that is written in Python, as asyncio's.
    """
    if sys.version_info >= (3, 12):
        return asyncio.Task(coroutine, loop=loop, eager_start=True)
    # A task asks its loop to call its first step soon; nothing else is asked of the loop while it is made.
    taken = _Taken()
    loop.call_soon = taken.call_soon  # type: ignore[method-assign,assignment]
    try:
        task = asyncio.Task(coroutine, loop=loop)
    finally:
        del loop.call_soon
    taken.context.run(taken.step)
    return task


class _Taken:
    """The one call that a loop was asked for."""

    __slots__ = ("context", "step")

    step: Callable[[], object]
    context: Context

    def call_soon(self, step: Callable[[], object], *, context: Context) -> None:
        self.step, self.context = step, context
