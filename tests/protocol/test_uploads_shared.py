"""One session, or one blob, and several who write to it: after a restart, in turns, at once, and half of them gone."""

import asyncio
from pathlib import Path
from uuid import UUID

import pytest
from httpx import AsyncClient

from authproxy.asgi import ClientDisconnected
from authproxy.registry.core import Core
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.filesystem.write_buffer import BUFFER_BYTES
from tests.support.registry import DELETES, Call, Pipe, check, connect, push_blob, sha256
from tests.support.uploads import BLOB, HELLO, UPLOADS, append, begin, closing

pytestmark = pytest.mark.section("OCI 1.1 Pushing blobs")


async def test_a_restarted_registry_goes_on_with_a_session(driver: Driver) -> None:
    async with connect(driver) as before:
        session = await append(before, await begin(before), b"hel", "0-2")
    async with connect(driver) as after:
        await check(after, Call("", "GET", session, 204, answers={"Range": "0-2"}))
        await append(after, session, b"l", "0-3")
        await check(after, Call("", "PUT", closing(session), 201, {}, b"o"))
        await check(after, Call("", "GET", BLOB, 200, content=b"hello"))


async def test_two_processes_take_turns_with_a_session(tmp_path: Path) -> None:
    """The running digest of the first knows nothing of what the second appended."""
    one, two = FilesystemDriver(tmp_path), FilesystemDriver(tmp_path)
    async with connect(one) as first, connect(two) as second:
        session = await append(first, await begin(first), b"he", "0-1")
        await append(second, session, b"ll", "0-3")
        await check(first, Call("", "PUT", closing(session), 201, {}, b"o"))
        await check(second, Call("", "GET", BLOB, 200, content=b"hello"))
    for driver in (one, two):
        await driver.close()


async def test_eight_pushes_of_one_blob_at_once_leave_one(registry: AsyncClient) -> None:
    content = b"the same " * BUFFER_BYTES
    digests = await asyncio.gather(*(push_blob(registry, "team/app", content) for _ in range(8)))
    assert set(digests) == {sha256(content)}
    await check(registry, Call("", "GET", f"/v2/team/app/blobs/{digests[0]}", 200, content=content))


async def test_a_client_that_goes_away_leaves_what_came(driver: Driver) -> None:
    core = Core(driver, DELETES)
    async with connect(driver) as registry:
        session = await begin(registry)
        pipe = Pipe("PATCH", session)
        pipe.feed(b"he", b"l")
        pipe.hang_up()
        with pytest.raises(ClientDisconnected):
            await core(pipe.scope, pipe.receive, pipe.send)
        assert pipe.sent == []
        await check(registry, Call("", "GET", session, 204, answers={"Range": "0-2"}))
        await check(registry, Call("", "PUT", closing(session), 201, {"Content-Range": "3-4"}, b"lo"))


async def test_a_push_in_one_request_that_breaks_off_leaves_no_session(driver: Driver) -> None:
    session = UUID(int=7)
    pipe = Pipe("POST", f"{UPLOADS}?digest={HELLO}")
    pipe.feed(b"he")
    pipe.hang_up()
    with pytest.raises(ClientDisconnected):
        await Core(driver, DELETES, new_id=lambda: session)(pipe.scope, pipe.receive, pipe.send)
    async with connect(driver) as registry:
        await check(registry, Call("", "GET", f"{UPLOADS}{session}", 404, code="BLOB_UPLOAD_UNKNOWN"))
