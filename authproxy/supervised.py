"""Background tasks that run as long as the process: a task that ends is logged and restarted with back-off."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import structlog

log = structlog.get_logger(__name__)

# The delay before a restart, in seconds: the first one, and the longest.
RETRY_S, MAX_RETRY_S = 1.0, 30.0
# A task that ran this long, in seconds, was healthy: the back-off starts over.
WELL_S = 60.0

# Runs until it is cancelled.
Runner: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


@asynccontextmanager
async def supervised(
    name: str, run: Runner, ended: Callable[[str], None], *, retry_s: float = RETRY_S
) -> AsyncIterator[None]:
    """Run a task while the block lasts and restart it whenever it ends. Each time calls `ended` with `name`."""
    task = asyncio.create_task(_run_again_and_again(name, run, ended, retry_s), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _run_again_and_again(name: str, run: Runner, ended: Callable[[str], None], retry_s: float) -> None:
    loop = asyncio.get_running_loop()
    delay_s = retry_s
    while True:
        began = loop.time()
        fault: BaseException | None = None
        try:
            await run()
        except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001 - the task must go on after any fault
            fault = exc  # CancelledError: perhaps of a future that the task awaited
        if _is_cancelled():  # also if `run` swallowed the cancellation, or failed while it ended
            if isinstance(fault, Exception):
                log.error("a background task has failed at its end", task=name, exc_info=fault)
            return
        if loop.time() - began >= WELL_S:
            delay_s = retry_s
        log.error("a background task has ended, and starts again", task=name, in_s=delay_s, exc_info=fault)
        ended(name)
        await asyncio.sleep(delay_s)
        delay_s = min(delay_s * 2, MAX_RETRY_S)


def _is_cancelled() -> bool:
    """Whether the current task itself was cancelled, not just something that it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
