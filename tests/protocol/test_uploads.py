"""Uploads as OCI Distribution 1.1 has them, "Pushing blobs": each way in, and each way to do it wrong."""

import asyncio
from collections.abc import AsyncIterator
from operator import attrgetter
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest

from authproxy.asgi import ClientDisconnected
from authproxy.registry.core import Core
from authproxy.registry.rules import Rules
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem import FilesystemDriver
from authproxy.storage.gather import BUFFER_BYTES
from tests.support.registry import BASE_URL, Call, Pipe, check, connect, push_blob, sha256, sha512

UPLOADS = "/v2/team/app/blobs/uploads/"
HELLO = sha256(b"hello")
BLOB = f"/v2/team/app/blobs/{HELLO}"
UNKNOWN = f"{UPLOADS}00000000-0000-4000-8000-000000000000"


async def begin(registry: httpx.AsyncClient, query: str = "") -> str:
    """Open a session; its path."""
    answer = await check(registry, Call("", "POST", UPLOADS + query, 202, answers={"Range": "0-0"}))
    location = str(answer.headers["location"])
    assert location == f"{BASE_URL}{UPLOADS}{answer.headers['docker-upload-uuid']}"
    return urlsplit(location).path


async def append(registry: httpx.AsyncClient, session: str, chunk: bytes, received: str, **headers: str) -> None:
    answers = {"Range": received, "Location": BASE_URL + session, "Docker-Upload-UUID": session.rpartition("/")[2]}
    await check(registry, Call("", "PATCH", session, 202, headers, chunk, answers=answers))


CREATED = {"Location": BASE_URL + BLOB, "Docker-Content-Digest": HELLO}

ONE_REQUEST = [
    Call(
        "POST then nothing: the digest of the body",
        "POST",
        f"{UPLOADS}?digest={HELLO}",
        201,
        {},
        b"hello",
        None,
        CREATED,
    ),
    Call("POST: an empty blob", "POST", f"{UPLOADS}?digest={sha256(b'')}", 201),
    Call("POST: a wrong digest", "POST", f"{UPLOADS}?digest={HELLO}", 400, {}, b"hallo", "DIGEST_INVALID"),
    Call("POST: a malformed digest", "POST", f"{UPLOADS}?digest=sha256:abc", 400, {}, b"hello", "DIGEST_INVALID"),
    Call("POST: an unknown algorithm", "POST", f"{UPLOADS}?digest=md5:abc", 400, {}, b"hello", "DIGEST_INVALID"),
    Call(
        "POST: sha512",
        "POST",
        f"{UPLOADS}?digest={sha512(b'hello')}",
        201,
        {},
        b"hello",
        None,
        {"Location": f"{BASE_URL}/v2/team/app/blobs/{sha512(b'hello')}", "Docker-Content-Digest": sha512(b"hello")},
    ),
    Call("POST: a hint for sha512", "POST", f"{UPLOADS}?digest-algorithm=sha512", 202),
    Call("POST: a hint that nobody knows", "POST", f"{UPLOADS}?digest-algorithm=md5", 400, code="DIGEST_INVALID"),
]

UNKNOWN_SESSION = [
    Call("GET", "GET", UNKNOWN, 404, code="BLOB_UPLOAD_UNKNOWN"),
    Call("PATCH", "PATCH", UNKNOWN, 404, body=b"x", code="BLOB_UPLOAD_UNKNOWN"),
    Call("PUT", "PUT", f"{UNKNOWN}?digest={HELLO}", 404, body=b"hello", code="BLOB_UPLOAD_UNKNOWN"),
    Call("DELETE", "DELETE", UNKNOWN, 404, code="BLOB_UPLOAD_UNKNOWN"),
    Call("an id that is none", "GET", f"{UPLOADS}%2E%2E", 404, code="BLOB_UPLOAD_UNKNOWN"),
    Call(
        "an id in capitals",
        "GET",
        UNKNOWN.upper().replace(UPLOADS.upper(), UPLOADS).replace("0-4", "A-4"),
        404,
        code="BLOB_UPLOAD_UNKNOWN",
    ),
]


@pytest.mark.parametrize("call", ONE_REQUEST, ids=attrgetter("what"))
async def test_one_request(registry: httpx.AsyncClient, call: Call) -> None:
    await check(registry, call)


@pytest.mark.parametrize("call", UNKNOWN_SESSION, ids=attrgetter("what"))
async def test_unknown_session(registry: httpx.AsyncClient, call: Call) -> None:
    await check(registry, call)


async def test_post_then_put(registry: httpx.AsyncClient) -> None:
    session = await begin(registry)
    await check(registry, Call("", "PUT", f"{session}?digest={HELLO}", 201, {}, b"hello", None, CREATED))
    await check(registry, Call("", "GET", BLOB, 200, content=b"hello"))
    await check(registry, Call("the session is over", "GET", session, 404, code="BLOB_UPLOAD_UNKNOWN"))


async def test_post_then_patch_then_put_as_docker_does(registry: httpx.AsyncClient) -> None:
    session = await begin(registry)
    await append(registry, session, b"hello", "0-4")
    await check(registry, Call("", "PUT", f"{session}?digest={HELLO}", 201, answers=CREATED))
    await check(registry, Call("", "GET", BLOB, 200, content=b"hello"))


async def test_in_chunks_with_the_last_in_the_put(registry: httpx.AsyncClient) -> None:
    session = await begin(registry)
    await append(registry, session, b"he", "0-1", **{"Content-Range": "0-1"})
    await append(registry, session, b"ll", "0-3", **{"Content-Range": "2-3"})
    await check(registry, Call("", "GET", session, 204, answers={"Range": "0-3", "Location": BASE_URL + session}))
    await check(registry, Call("", "PUT", f"{session}?digest={HELLO}", 201, {"Content-Range": "4-4"}, b"o"))
    await check(registry, Call("", "GET", BLOB, 200, content=b"hello"))


async def test_in_a_stream_without_a_length(registry: httpx.AsyncClient) -> None:
    async def stream() -> AsyncIterator[bytes]:
        for letter in b"hello":
            yield bytes([letter])

    session = await begin(registry)
    answer = await registry.patch(session, content=stream())
    assert (answer.status_code, answer.headers["range"]) == (202, "0-4")
    await check(registry, Call("", "PUT", f"{session}?digest={HELLO}", 201))


WRONG_CHUNKS = [
    Call("out of order", "PATCH", "", 416, {"Content-Range": "3-4"}, b"lo", "RANGE_INVALID", {"Range": "0-1"}),
    Call("sent twice", "PATCH", "", 416, {"Content-Range": "0-1"}, b"he", "RANGE_INVALID", {"Range": "0-1"}),
    Call("out of order in the PUT", "PUT", f"?digest={HELLO}", 416, {"Content-Range": "3-4"}, b"lo", "RANGE_INVALID"),
    Call("inverted", "PATCH", "", 416, {"Content-Range": "4-2"}, b"llo", "RANGE_INVALID"),
    Call("with a unit", "PATCH", "", 416, {"Content-Range": "bytes 2-4/5"}, b"llo", "RANGE_INVALID"),
    Call("shorter than its range", "PATCH", "", 400, {"Content-Range": "2-4"}, b"ll", "SIZE_INVALID"),
    Call("longer than its range", "PATCH", "", 400, {"Content-Range": "2-3"}, b"llo", "SIZE_INVALID"),
    Call("a PUT without a digest", "PUT", "", 400, {}, b"llo", "DIGEST_INVALID"),
    Call("a PUT with a malformed digest", "PUT", "?digest=sha256:1", 400, {}, b"llo", "DIGEST_INVALID"),
]


@pytest.mark.parametrize("call", WRONG_CHUNKS, ids=attrgetter("what"))
async def test_the_session_lives_on_after_a_wrong_chunk(registry: httpx.AsyncClient, call: Call) -> None:
    session = await begin(registry)
    await append(registry, session, b"he", "0-1")
    await check(
        registry,
        Call("", call.method, session + call.path, call.status, call.headers, call.body, call.code, call.answers),
    )
    await check(registry, Call("", "GET", session, 204, answers={"Range": "0-1"}))
    await check(registry, Call("", "PUT", f"{session}?digest={HELLO}", 201, {"Content-Range": "2-4"}, b"llo"))


async def test_a_stream_longer_than_its_range_is_refused(registry: httpx.AsyncClient) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield b"he"
        yield b"llo"

    session = await begin(registry)
    answer = await registry.patch(session, content=stream(), headers={"Content-Range": "0-1"})
    assert answer.status_code == 400
    await check(registry, Call("", "PUT", f"{session}?digest={HELLO}", 201, {"Content-Range": "2-4"}, b"llo"))


async def test_a_wrong_digest_ends_the_session(registry: httpx.AsyncClient) -> None:
    session = await begin(registry)
    await append(registry, session, b"hallo", "0-4")
    await check(registry, Call("", "PUT", f"{session}?digest={HELLO}", 400, code="DIGEST_INVALID"))
    await check(registry, Call("", "GET", session, 404, code="BLOB_UPLOAD_UNKNOWN"))
    await check(registry, Call("", "GET", BLOB, 404, code="BLOB_UNKNOWN"))


async def test_a_session_can_be_cancelled_also_where_deletes_are_disabled(undeletable: httpx.AsyncClient) -> None:
    session = await begin(undeletable)
    await check(undeletable, Call("", "DELETE", session, 204))
    await check(undeletable, Call("", "DELETE", session, 404, code="BLOB_UPLOAD_UNKNOWN"))


async def test_a_session_belongs_to_its_repository(registry: httpx.AsyncClient) -> None:
    """CVE-2026-32589: a session used from another repository."""
    session = (await begin(registry)).replace("team/app", "team/other")
    await check(registry, Call("", "PATCH", session, 404, body=b"x", code="BLOB_UPLOAD_UNKNOWN"))


@pytest.mark.parametrize("hint", ["", "?digest-algorithm=sha512"], ids=["without a hint", "with a hint"])
async def test_a_session_closed_with_sha512(registry: httpx.AsyncClient, hint: str) -> None:
    session = await begin(registry, hint)
    await append(registry, session, b"hel", "0-2")
    await check(registry, Call("", "PUT", f"{session}?digest={sha512(b'hello')}", 201, {}, b"lo"))
    await check(registry, Call("", "GET", f"/v2/team/app/blobs/{sha512(b'hello')}", 200, content=b"hello"))
    await check(registry, Call("", "GET", BLOB, 200, content=b"hello"))


async def test_a_restarted_registry_goes_on_with_a_session(driver: Driver) -> None:
    async with connect(driver) as before:
        session = await begin(before)
        await append(before, session, b"hel", "0-2")
    async with connect(driver) as after:
        await check(after, Call("", "GET", session, 204, answers={"Range": "0-2"}))
        await append(after, session, b"l", "0-3")
        await check(after, Call("", "PUT", f"{session}?digest={HELLO}", 201, {}, b"o"))
        await check(after, Call("", "GET", BLOB, 200, content=b"hello"))


async def test_two_processes_take_turns_with_a_session(tmp_path: Path) -> None:
    """The running digest of the first knows nothing of what the second appended."""
    one, two = FilesystemDriver(tmp_path), FilesystemDriver(tmp_path)
    async with connect(one) as first, connect(two) as second:
        session = await begin(first)
        await append(first, session, b"he", "0-1")
        await append(second, session, b"ll", "0-3")
        await check(first, Call("", "PUT", f"{session}?digest={HELLO}", 201, {}, b"o"))
        await check(second, Call("", "GET", BLOB, 200, content=b"hello"))
    for driver in (one, two):
        await driver.close()


async def test_eight_pushes_of_one_blob_at_once_leave_one(registry: httpx.AsyncClient) -> None:
    content = b"the same " * BUFFER_BYTES
    digests = await asyncio.gather(*(push_blob(registry, "team/app", content) for _ in range(8)))
    assert set(digests) == {sha256(content)}
    answer = await registry.get(f"/v2/team/app/blobs/{digests[0]}")
    assert answer.content == content


async def test_a_client_that_goes_away_leaves_what_came(driver: Driver) -> None:
    core = Core(driver, Rules(delete_enabled=True))
    async with connect(driver) as registry:
        session = await begin(registry)
        pipe = Pipe("PATCH", session)
        pipe.feed(b"he", b"l")
        pipe.hang_up()
        with pytest.raises(ClientDisconnected):
            await core(pipe.scope, pipe.receive, pipe.send)
        assert pipe.sent == []
        await check(registry, Call("", "GET", session, 204, answers={"Range": "0-2"}))
        await check(registry, Call("", "PUT", f"{session}?digest={HELLO}", 201, {"Content-Range": "3-4"}, b"lo"))


async def test_a_push_in_one_request_that_breaks_off_leaves_no_session(driver: Driver) -> None:
    session = UUID(int=7)
    pipe = Pipe("POST", f"{UPLOADS}?digest={HELLO}")
    pipe.feed(b"he")
    pipe.hang_up()
    with pytest.raises(ClientDisconnected):
        await Core(driver, Rules(delete_enabled=True), new_id=lambda: session)(pipe.scope, pipe.receive, pipe.send)
    async with connect(driver) as registry:
        await check(registry, Call("", "GET", f"{UPLOADS}{session}", 404, code="BLOB_UPLOAD_UNKNOWN"))


MOUNT = f"{UPLOADS}?mount={HELLO}&from=team/base"


async def test_mounting_a_blob_of_another_repository(registry: httpx.AsyncClient) -> None:
    await push_blob(registry, "team/base", b"hello")
    await check(registry, Call("", "POST", MOUNT, 201, answers=CREATED))
    await check(registry, Call("", "GET", BLOB, 200, content=b"hello"))


async def test_mounting_by_sha512(registry: httpx.AsyncClient) -> None:
    await push_blob(registry, "team/base", b"hello", sha512(b"hello"))
    await check(registry, Call("", "POST", f"{UPLOADS}?mount={sha512(b'hello')}&from=team/base", 201))
    await check(registry, Call("", "GET", f"/v2/team/app/blobs/{sha512(b'hello')}", 200, content=b"hello"))


MOUNTS_REFUSED = [
    Call("the source lacks it", "POST", MOUNT, 202),
    Call("a malformed digest", "POST", f"{UPLOADS}?mount=sha256:1&from=team/base", 202),
    Call("no source", "POST", f"{UPLOADS}?mount={HELLO}", 202),
]


@pytest.mark.parametrize("call", MOUNTS_REFUSED, ids=attrgetter("what"))
async def test_a_mount_that_can_not_be_is_an_ordinary_session(registry: httpx.AsyncClient, call: Call) -> None:
    await push_blob(registry, "elsewhere", b"hello")
    answer = await check(registry, call)
    session = urlsplit(answer.headers["location"]).path
    await check(registry, Call("", "PUT", f"{session}?digest={HELLO}", 201, {}, b"hello"))
