"""Tasks that begin, or go on, at once in the caller's stack: each turn of the loop costs as much as a small request."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Self


def start_task(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    """A task that has been run up to its first wait, or to its end: ask `done()`.

    To the coroutine it is a task as any other, from its first line on: `asyncio.timeout`, task groups and context
    variables work. Not to be called from within a task, and only with a loop that is written in Python, as asyncio's.
    """
    if sys.version_info >= (3, 12):
        return asyncio.Task(coroutine, loop=loop, eager_start=True)
    with _caught(loop) as caught:  # a task asks its loop to call its first step soon
        task = asyncio.Task(coroutine, loop=loop)
    caught.run()
    return task


def complete(loop: asyncio.AbstractEventLoop, future: "asyncio.Future[None]") -> None:
    """Give a future its result, and let the task that waits for it go on at once, up to its next wait.

    Not to be called from within a task: only where the loop itself calls, as it does a protocol that is told of bytes.
    """
    with _caught(loop) as caught:
        future.set_result(None)
    caught.run()


class _caught:  # noqa: N801 - a context, and nothing else
    """What a loop is asked to call soon while this lasts; `run` calls it."""

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
