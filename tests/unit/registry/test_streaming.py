"""What a client that only gathers can't show: pieces, back-pressure, and clients that go away."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from authproxy import asgi
from authproxy.reference import Repository
from authproxy.registry import sessions as sessions_module
from authproxy.registry.core import Core
from authproxy.registry.options import Rules
from authproxy.registry.sessions import Sessions
from authproxy.storage.driver import PIECE_BYTES, UploadBusy
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.memory import MemoryDriver
from tests.support.registry import Pipe, connect, push_blob, sha256

APP = Repository("team/app")
LARGE = bytes(range(256)) * (4 * PIECE_BYTES // 256)
NOW = datetime(2024, 1, 2, tzinfo=UTC)


@pytest.fixture
async def driver() -> AsyncIterator[MemoryDriver]:
    made = MemoryDriver()
    async with connect(made) as registry:
        await push_blob(registry, APP, LARGE)
    yield made
    await made.close()


async def test_a_large_blob_leaves_in_pieces(driver: MemoryDriver) -> None:
    pipe = Pipe("GET", f"/v2/{APP}/blobs/{sha256(LARGE)}")
    await Core(driver, Rules(delete_enabled=True))(pipe.scope, pipe.receive, pipe.send)
    bodies = [message["body"] for message in pipe.sent[1:]]
    assert [len(body) for body in bodies] == [PIECE_BYTES] * 4
    assert [message["more_body"] for message in pipe.sent[1:]] == [True, True, True, False]
    assert b"".join(bodies) == LARGE


async def test_a_download_stops_when_the_client_goes_away(driver: MemoryDriver) -> None:
    pipe = Pipe("GET", f"/v2/{APP}/blobs/{sha256(LARGE)}")
    pipe.feed(b"", more=False)
    pipe.hang_up()
    with pytest.raises(asgi.ClientDisconnected):
        await Core(driver, Rules(delete_enabled=True))(pipe.scope, pipe.receive, pipe.send)
    assert len(pipe.sent) < 5


async def test_a_download_waits_for_its_client(driver: MemoryDriver) -> None:
    pipe = Pipe("GET", f"/v2/{APP}/blobs/{sha256(LARGE)}")
    taken = asyncio.Semaphore(2)

    async def send(message: asgi.Message) -> None:
        await taken.acquire()
        await pipe.send(message)

    task = asyncio.ensure_future(Core(driver, Rules(delete_enabled=True))(pipe.scope, pipe.receive, send))
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(pipe.sent) == 2
    for _ in range(3):
        taken.release()
    await task
    assert len(pipe.sent) == 5


async def test_a_busy_session_is_unavailable_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where sessions are locked."""
    driver = FilesystemDriver(tmp_path, threads=1)
    monkeypatch.setattr(sessions_module, "WAIT_S", 0.01)
    session = UUID(int=3)
    sessions = Sessions(driver, now=lambda: NOW, new_id=lambda: session)
    async with sessions.create(APP, ()):
        pipe = Pipe("PATCH", f"/v2/{APP}/blobs/uploads/{session}")
        with pytest.raises(UploadBusy, match="another request") as raised:
            await Core(driver, Rules(delete_enabled=True))(pipe.scope, pipe.receive, pipe.send)
    assert raised.value.status == 503
    await driver.close()


async def test_of_two_requests_that_write_to_one_session_the_later_one_is_unavailable(driver: MemoryDriver) -> None:
    """Where they aren't locked; and its bytes are dropped."""
    sessions = Sessions(driver, now=lambda: NOW, new_id=lambda: UUID(int=3))
    async with sessions.create(APP, ()) as (session, _):
        pass

    async def write(pipe: Pipe) -> None:
        await Core(driver, Rules(delete_enabled=True))(pipe.scope, pipe.receive, pipe.send)

    first, second = (Pipe("PATCH", f"/v2/{APP}/blobs/uploads/{session}") for _ in range(2))
    first.feed(b"the later one", more=True)
    waiting = asyncio.create_task(write(first))
    await asyncio.sleep(0)
    second.feed(b"hello", more=False)
    await write(second)
    first.feed(b"", more=False)
    with pytest.raises(UploadBusy, match="another request"):
        await waiting
    assert second.sent[0]["status"] == 202
    assert await sessions.size(APP, str(session)) == len(b"hello")


async def test_the_oldest_running_digest_is_forgotten_first(
    driver: MemoryDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_module, "MAX_REMEMBERED", 2)
    ids = iter(UUID(int=number) for number in range(9))
    sessions = Sessions(driver, now=lambda: NOW, new_id=lambda: next(ids))
    opened = []
    for _ in range(3):
        async with sessions.create(APP, ()) as (session, upload):
            await upload.write(b"hello")
            opened.append((str(session), upload.running))
    carried = []
    for name, running in opened:
        async with sessions.open(APP, name) as upload:
            carried.append(upload.running is running)
            assert str((await upload.digests(["sha256"]))["sha256"]) == sha256(b"hello")
            await upload.abort()
    assert carried == [False, True, True]


async def test_a_running_digest_is_not_kept_for_a_session_that_ended(driver: MemoryDriver) -> None:
    sessions = Sessions(driver, now=lambda: NOW, new_id=lambda: UUID(int=5))
    async with sessions.create(APP, ()) as (session, _):
        pass
    async with sessions.open(APP, str(session)) as upload:
        await upload.abort()
    assert not sessions._running
