"""A publication that is cancelled: its job goes on to its end, and nothing of it is released before."""

import asyncio
import threading
from pathlib import Path

import pytest

from authproxy.reference import Repository, Tag
from authproxy.storage import layout
from authproxy.storage.driver import Swap
from authproxy.storage.filesystem.batch_commit import Batch
from authproxy.storage.filesystem.driver import FilesystemDriver

PATH = layout.tag_current(Repository("a"), Tag("one"))
POINTER = layout.tag_current(Repository("a"), Tag("two"))


async def test_files_stay_open_until_the_job_of_a_cancelled_request_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A descriptor that is closed meanwhile may be another file's by the time that the job links it."""
    driver = FilesystemDriver(tmp_path, threads=4)
    is_in, goes_on = threading.Event(), threading.Event()
    events: list[str] = []
    sync, leave = Batch.sync, Batch.__exit__

    def slow_sync(self: Batch) -> None:
        is_in.set()
        goes_on.wait(10)
        sync(self)
        events.append("synced")

    def left(self: Batch, *about: object) -> None:
        events.append("released")
        leave(self, *about)

    monkeypatch.setattr(Batch, "sync", slow_sync)
    monkeypatch.setattr(Batch, "__exit__", left)

    async def publish() -> None:
        async with driver.publish([[(PATH, b"content")]], [Swap(POINTER, b"pointer", None)]) as published:
            await published.move()

    task = asyncio.create_task(publish())
    await asyncio.to_thread(is_in.wait, 10)
    task.cancel()
    await asyncio.sleep(0.05)
    assert events == []
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert events == ["synced", "released"]
    assert await driver.read([POINTER]) == [None]
    await driver.close()
