"""Tasks that begin or continue at once in the caller's stack: a turn of the loop costs as much as a small request."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Self


def start_task(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    """A task that has run up to its first wait, or to its end: see `done()`.

    For the coroutine it is an ordinary task from its first line on: `asyncio.timeout`, task groups and context
    variables work. May not be called from within a task, and needs a loop written in Python, as asyncio's is.
    """
    if sys.version_info >= (3, 12):
        return asyncio.Task(coroutine, loop=loop, eager_start=True)
    with _caught(loop) as caught:  # a new task schedules its first step by `call_soon`
        task = asyncio.Task(coroutine, loop=loop)
    caught.run()
    return task


def complete(loop: asyncio.AbstractEventLoop, future: "asyncio.Future[None]") -> None:
    """Set a future's result, and run the task that waits for it at once, up to its next wait.

    May not be called from within a task: only from a callback of the loop, as a protocol's methods are.
    """
    with _caught(loop) as caught:
        future.set_result(None)
    caught.run()


class _caught:  # noqa: N801 - only a context manager
    """Collects the calls that a loop's `call_soon` gets while this lasts; `run` makes them."""

    __slots__ = ("_calls", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: list[tuple[Callable[..., object], tuple[object, ...], Context]] = []

    def __enter__(self) -> Self:
        self._loop.call_soon = self._call_soon  # type: ignore[method-assign,assignment]
        return self

    def __exit__(self, *_: object) -> None:
        del self._loop.call_soon

    def run(self) -> None:
        for step, arguments, context in self._calls:
            context.run(step, *arguments)

    def _call_soon(self, step: Callable[..., object], *arguments: object, context: Context) -> None:
        self._calls.append((step, arguments, context))
