"""The pool of threads."""

import asyncio
import errno
import gc
import os
import threading
from collections.abc import AsyncIterator

import pytest

from authproxy.errors import Unavailable
from authproxy.storage.driver import StorageFull
from authproxy.storage.filesystem.thread_pool import ThreadPool


@pytest.fixture
async def workers() -> AsyncIterator[ThreadPool]:
    made = ThreadPool(2)
    yield made
    await made.close()


class Held:
    """Jobs that wait until they are let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.names: set[str] = set()

    def job(self) -> str:
        self.names.add(threading.current_thread().name)
        assert self.go.wait(10)
        return "done"


def fail(number: int) -> None:
    raise OSError(number, os.strerror(number))


async def test_no_more_threads_than_allowed_and_every_job_is_done(workers: ThreadPool) -> None:
    held = Held()
    jobs = [workers.submit(held.job) for _ in range(5)]
    held.go.set()
    assert await asyncio.gather(*jobs) == ["done"] * 5
    assert len(held.names) <= 2


async def test_one_after_the_other_needs_one_thread(workers: ThreadPool) -> None:
    names = {await workers.run(lambda: threading.current_thread().name) for _ in range(5)}
    assert len(names) == 1


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EROFS, Unavailable),
        (errno.EIO, Unavailable),
        (errno.EACCES, OSError),
    ],
    ids=["no space", "quota", "read-only", "a broken disk", "another"],
)
async def test_an_error_is_raised_to_who_waits_and_the_thread_goes_on(
    workers: ThreadPool, number: int, answer: type[Exception]
) -> None:
    with pytest.raises(answer):
        await workers.run(lambda: fail(number))
    assert await workers.run(lambda: "next") == "next"


async def test_what_nobody_took_is_discarded(workers: ThreadPool) -> None:
    held = Held()
    discarded: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(workers.run(held.job, discard=discarded.put_nowait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    held.go.set()
    assert await discarded.get() == "done"


async def test_closing_waits_for_what_has_begun() -> None:
    workers, held = ThreadPool(1), Held()
    job = workers.submit(held.job)
    closing = asyncio.create_task(workers.close())
    await asyncio.sleep(0)
    held.go.set()
    await closing
    await asyncio.sleep(0)  # the job's end comes through the event loop
    assert job.result() == "done"


async def test_threads_end_with_a_pool_that_nobody_has() -> None:
    workers = ThreadPool(1)
    thread = await workers.run(threading.current_thread)
    del workers
    gc.collect()
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()


def test_a_job_may_outlive_the_event_loop_that_wanted_it() -> None:
    workers, held = ThreadPool(1), Held()

    async def begin() -> None:
        workers.submit(held.job)

    asyncio.run(begin())
    held.go.set()
    assert asyncio.run(workers.run(lambda: "next")) == "next"
