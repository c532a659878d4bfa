"""Sessions over each driver: whose they are, and what survives whom."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from authproxy.asgi import CLIENT_VIEW, ROUTE
from authproxy.errors import RequestTimedOut
from authproxy.reference import Repository
from authproxy.registry.content import CoreContent
from authproxy.registry.exchange import Exchange
from authproxy.registry.mount_sources import MountSources
from authproxy.registry.promises import Promises
from authproxy.registry.sessions import Sessions
from authproxy.registry.tags import Tags
from authproxy.registry.uploads import Uploads
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.filesystem.write_buffer import BUFFER_BYTES
from authproxy.storage.memory import MemoryDriver
from authproxy.storage.running_digest import RunningDigest
from tests.support.registry import Pipe, code_of, connect, sha256

APP, OTHER = Repository("team/app"), Repository("team/other")
CHUNK = bytes(range(256)) * (BUFFER_BYTES // 256)


@pytest.fixture(params=["filesystem", "memory"])
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    made: Driver = FilesystemDriver(tmp_path, threads=4) if request.param == "filesystem" else MemoryDriver()
    yield made
    await made.close()


async def begin(client: httpx.AsyncClient, content: bytes = b"hel") -> str:
    """Open a session and send some; its address."""
    opened = await client.post(f"/v2/{APP}/blobs/uploads/")
    sent = await client.patch(opened.headers["location"], content=content)
    assert (opened.status_code, sent.status_code) == (202, 202)
    return str(httpx.URL(sent.headers["location"]).path)


FOREIGN = [
    ("GET", "", b""),
    ("PATCH", "", b"lo"),
    ("PUT", f"?digest={sha256(b'hel')}", b""),
    ("DELETE", "", b""),
]


@pytest.mark.parametrize(("method", "query", "body"), FOREIGN, ids=[method for method, _, _ in FOREIGN])
async def test_a_session_is_unknown_to_other_repositories(driver: Driver, method: str, query: str, body: bytes) -> None:
    """CVE-2026-32589: only the session's id was looked at."""
    async with connect(driver, signs=False) as client:
        own = await begin(client)
        answer = await client.request(method, own.replace(APP, OTHER) + query, content=body)
        assert (answer.status_code, code_of(answer)) == (404, "BLOB_UPLOAD_UNKNOWN")
        assert (await client.get(f"/v2/{OTHER}/tags/list")).status_code == 404
        closed = await client.put(f"{own}?digest={sha256(b'hello')}", content=b"lo")
        assert closed.status_code == 201


async def test_a_session_goes_on_in_another_process_and_is_closed_in_a_third(driver: Driver) -> None:
    async with (
        connect(driver, signs=False) as first,
        connect(driver, signs=False) as second,
        connect(driver, signs=False) as third,
    ):
        session = await begin(first)
        assert (await second.patch(session, content=b"lo, ")).headers["range"] == "0-6"
        assert (await third.get(session)).headers["range"] == "0-6"
        closed = await third.put(f"{session}?digest={sha256(b'hello, world')}", content=b"world")
        assert closed.status_code == 201
        assert (await first.get(f"/v2/{APP}/blobs/{sha256(b'hello, world')}")).content == b"hello, world"


async def test_an_upload_that_changes_processes_at_every_chunk_is_read_again_once(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = 0
    update = RunningDigest.update

    def count(running: RunningDigest, data: bytes | bytearray | memoryview) -> None:
        nonlocal hashed
        hashed += len(data)
        update(running, data)

    monkeypatch.setattr(RunningDigest, "update", count)
    async with connect(driver, signs=False) as first, connect(driver, signs=False) as second:
        session = await begin(first, CHUNK)
        for client in (second, first) * 3:
            assert (await client.patch(session, content=CHUNK)).status_code == 202
        content = CHUNK * 7
        assert hashed == len(CHUNK)  # the first process followed its first chunk, the second none
        assert (await first.put(f"{session}?digest={sha256(content)}")).status_code == 201
        assert hashed == len(content)


async def test_a_client_that_stalls_loses_its_request_and_keeps_its_session(driver: Driver) -> None:
    sessions = Sessions(driver, now=lambda: datetime.now(UTC), new_id=uuid4)
    async with sessions.create(APP, ()) as (session, _):
        pass
    pipe = Pipe("PATCH", f"/v2/{APP}/blobs/uploads/{session}")
    pipe.feed(b"hel")
    exchange = Exchange(pipe.scope[ROUTE], pipe.scope[CLIENT_VIEW], pipe.scope["headers"], pipe.receive, pipe.send)
    content = CoreContent(driver, Tags(driver, max_page=10))
    uploads = Uploads(driver, sessions, MountSources(driver), content, Promises(driver), patience_s=0.02)
    with pytest.raises(RequestTimedOut, match="no data arrived for 0 seconds") as raised:
        await uploads.patch(exchange)
    assert raised.value.status == 408
    assert await sessions.size(APP, str(session)) == 3
    async with sessions.open(APP, str(session)) as upload:  # nobody holds it any more
        await upload.abort()
