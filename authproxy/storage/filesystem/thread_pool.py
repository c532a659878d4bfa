"""Threads for blocking work: a bounded pool for a driver, and a lane in it for the jobs of one upload."""

import asyncio
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar

from authproxy.errors import Unavailable
from authproxy.os_errors import FULL, report_machine_fault
from authproxy.storage.driver import StorageFull

T = TypeVar("T")

# The jobs that threads take; None ends a thread.
_Jobs: TypeAlias = SimpleQueue[Callable[[], object] | None]


class ThreadPool:
    """A bounded pool of threads. It turns faults of the machine into errors that a client understands.

    `folder` is the folder that its jobs work on, for the log.

    For one event loop at a time. `concurrent.futures` does the same for twice the processor time: threads too can wait
    for its futures, which is not needed here. The threads end with `close`, or when the pool is garbage-collected.
    """

    def __init__(self, threads: int, folder: str = "") -> None:
        self._max_threads = threads
        self._folder = folder
        self._threads: list[threading.Thread] = []
        self._under_way = 0
        self._jobs: _Jobs = SimpleQueue()
        weakref.finalize(self, _stop, self._jobs, self._threads)

    def submit(self, job: Callable[[], T]) -> asyncio.Future[T]:
        """Begin a job. Never cancel its future: wait with `asyncio.wait`, or use `run`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._under_way += 1
        if self._under_way > len(self._threads) and len(self._threads) < self._max_threads:
            self._add_thread()
        self._jobs.put(
            partial(
                _do,
                job,
                self._folder,
                lambda result, error: loop.call_soon_threadsafe(self._end, future, result, error),
            )
        )
        return future

    async def run(self, job: Callable[[], T], *, discard: Callable[[T], object] | None = None) -> T:
        """Do a job and wait for it. Cancelled: the job runs to its end, and `discard` gets its result."""
        future = self.submit(job)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if discard is not None:
                future.add_done_callback(partial(_discard, discard))
            raise

    async def close(self) -> None:
        """Wait for the jobs that have begun."""
        threads = list(self._threads)
        _stop(self._jobs, self._threads)
        await asyncio.to_thread(_join, threads)

    def _add_thread(self) -> None:
        name = f"storage_{len(self._threads)}"
        thread = threading.Thread(target=_work, args=(self._jobs,), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _end(self, future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
        self._under_way -= 1
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


class Lane:
    """Jobs that belong together: one at a time, in order. A job's error is raised by each later call too."""

    def __init__(self, workers: ThreadPool) -> None:
        self._workers = workers
        self._job: asyncio.Future[Any] | None = None

    @property
    def is_idle(self) -> bool:
        """No job is running, and the last one has not failed."""
        return self._job is None or (self._job.done() and self._job.exception() is None)

    @property
    def has_failed(self) -> bool:
        """The last job has ended with an error."""
        return self._job is not None and self._job.done() and self._job.exception() is not None

    async def start(self, job: Callable[[], object]) -> None:
        """Begin a job once the one before has ended; don't wait for its end. Cancelled: it does not begin."""
        await self.settle()
        self._job = self._workers.submit(job)

    async def run(self, job: Callable[[], T]) -> T:
        """Do a job once the one before has ended, and wait for it. Cancelled: a job that has begun runs to its end."""
        await self.settle()
        self._job = future = self._workers.submit(job)
        await asyncio.wait([future])
        return future.result()

    async def settle(self) -> None:
        """Wait until no job is running. Raises the last one's error."""
        if self._job is not None:
            if not self._job.done():
                await asyncio.wait([self._job])
            self._job.result()

    async def drain(self) -> None:
        """Wait until no job is running, and ignore how the last one ended."""
        if self._job is not None:
            await asyncio.wait([self._job])
            self._job.exception()
            self._job = None

    async def finally_do(self, release: Callable[[], None]) -> None:
        """`drain`, then `release`, even if the waiting is cancelled."""
        if self._job is None or self._job.done():
            release()
            return
        self._job.add_done_callback(lambda _: release())
        await self.drain()


def _work(jobs: _Jobs) -> None:
    while (job := jobs.get()) is not None:
        with suppress(RuntimeError):  # the event loop that waits for the result is closed
            job()
        del job  # it may hold the pool itself


def _join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join()


def _stop(jobs: _Jobs, threads: list[threading.Thread]) -> None:
    for _ in threads:
        jobs.put(None)
    threads.clear()


def _do(job: Callable[[], T], folder: str, report: Callable[[T | None, BaseException | None], object]) -> None:
    try:
        result = _with_known_errors(job, folder)
    except BaseException as error:  # noqa: BLE001 - any error goes to the caller that waits
        report(None, error)
    else:
        report(result, None)


def _with_known_errors(job: Callable[[], T], folder: str) -> T:
    try:
        return job()
    except OSError as error:
        message = report_machine_fault(error, folder)
        if message is None:
            raise
        raise (StorageFull() if error.errno in FULL else Unavailable(message)) from error


def _discard(discard: Callable[[T], object], future: asyncio.Future[T]) -> None:
    if not future.cancelled() and future.exception() is None:
        discard(future.result())
