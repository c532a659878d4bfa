"""What runs beside the requests, from the start of a process to its end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from authproxy.health.checks import Checks
from authproxy.log import tell_of_fault
from authproxy.metrics.metrics import Metrics
from authproxy.once import Once
from authproxy.watch import Reloadable, keep_fresh

# Runs until it is cancelled.
Runner: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application must look after while it runs; its lists are filled while it is put together."""

    metrics: Metrics
    checks: Checks
    once: Once = field(default_factory=Once)
    reloadables: list[Reloadable] = field(default_factory=list)
    runners: dict[str, Runner] = field(default_factory=dict)  # by what they do, in a few words
    servers: list[Callable[[], AbstractAsyncContextManager[None]]] = field(default_factory=list)
    closers: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everything runs for the length of a block; afterwards all has ended and is closed, the last first."""
        runners = {
            "reload what changes": lambda: keep_fresh(self.reloadables),
            "health checks": self.checks.run,
            "metrics": self.metrics.run,
            **self.runners,
        }
        async with AsyncExitStack() as stack:
            for close in self.closers:
                stack.push_async_callback(close)
            for name, run in runners.items():
                await stack.enter_async_context(_running(name, run))
            for serve in self.servers:
                await stack.enter_async_context(serve())
            yield


@asynccontextmanager
async def _running(name: str, run: Runner) -> AsyncIterator[None]:
    task = asyncio.create_task(run(), name=name)
    task.add_done_callback(tell_of_fault)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
