"""A blob in chunks: in order, out of order, and of another length than was said."""

from collections.abc import AsyncIterator

import pytest
from httpx import AsyncClient

from authproxy.storage.filesystem.write_buffer import BUFFER_BYTES
from tests.support.registry import BASE_URL, Call, check, name_of, sha256, under
from tests.support.uploads import BLOB, CREATED, HELLO, append, begin, closing, plain

CHUNKS = pytest.mark.section("OCI 1.1 Pushing a blob in chunks")


@pytest.mark.section("Docker V2 API Chunked Upload")
async def test_post_then_patch_then_put_as_docker_does(registry: AsyncClient) -> None:
    session = await append(registry, await begin(registry), b"hello", "0-4")
    await check(registry, Call("", "PUT", closing(session), 201, answers=CREATED))
    await check(registry, Call("", "GET", BLOB, 200, content=b"hello"))


@CHUNKS
async def test_chunks_in_order_with_the_last_in_the_put(registry: AsyncClient) -> None:
    session = await append(registry, await begin(registry), b"he", "0-1", **{"Content-Range": "0-1"})
    session = await append(registry, session, b"ll", "0-3", **{"Content-Range": "2-3"})
    await check(registry, Call("", "GET", session, 204, answers={"Range": "0-3", "Location": plain(session)}))
    last = Call("", "PUT", closing(session), 201, {"Content-Range": "4-4"}, b"o", answers=CREATED)
    await check(registry, last)
    await check(registry, Call("", "GET", BLOB, 200, content=b"hello"))


@CHUNKS
async def test_chunks_with_and_without_their_range_may_take_turns(registry: AsyncClient) -> None:
    session = await append(registry, await begin(registry), b"he", "0-1")
    session = await append(registry, session, b"l", "0-2", **{"Content-Range": "2-2"})
    session = await append(registry, session, b"", "0-2")
    session = await append(registry, session, b"l", "0-3")
    await check(registry, Call("", "PUT", closing(session), 201, {}, b"o", answers=CREATED))


@CHUNKS
async def test_an_older_address_of_a_session_stays_good(registry: AsyncClient) -> None:
    first = await begin(registry)
    second = await append(registry, first, b"he", "0-1", **{"Content-Range": "0-1"})
    await append(registry, second, b"ll", "0-3", **{"Content-Range": "2-3"})
    for older in (first, second):
        await check(registry, Call("", "GET", older, 204, answers={"Range": "0-3"}))
        repeated = Call("", "PATCH", older, 416, {"Content-Range": "2-3"}, b"ll", "RANGE_INVALID")
        await check(registry, repeated)
    await check(registry, Call("", "PUT", closing(first), 201, {}, b"o", answers=CREATED))


@pytest.mark.section("RFC 9112 7.1")
async def test_a_stream_without_a_length_is_appended(registry: AsyncClient) -> None:
    async def stream() -> AsyncIterator[bytes]:
        for letter in b"hello":
            yield bytes([letter])

    answer = await registry.patch(await begin(registry), content=stream())
    assert (answer.status_code, answer.headers["range"]) == (202, "0-4")
    session = answer.headers["location"].removeprefix(BASE_URL)
    await check(registry, Call("", "PUT", closing(session), 201, answers=CREATED))


@pytest.mark.section("RFC 9112 7.1")
async def test_the_last_chunk_may_be_a_stream_too(registry: AsyncClient) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield b"l"
        yield b"o"

    session = await append(registry, await begin(registry), b"hel", "0-2")
    answer = await registry.put(closing(session), content=stream(), headers={"Content-Range": "3-4"})
    assert (answer.status_code, answer.headers["docker-content-digest"]) == (201, HELLO)


def patch(what: str, content_range: str, body: bytes, status: int, code: str) -> Call:
    return Call(what, "PATCH", "", status, {"Content-Range": content_range}, body, code)


# Against a session that holds b"he".
WRONG_CHUNKS = [
    *under(
        "OCI 1.1 Pushing a blob in chunks",
        patch("a chunk again", "0-1", b"he", 416, "RANGE_INVALID"),
        patch("a gap before it", "3-4", b"lo", 416, "RANGE_INVALID"),
        patch("over the end of the last", "1-2", b"el", 416, "RANGE_INVALID"),
        patch("from far away", f"{10**17}-{10**17}", b"l", 416, "RANGE_INVALID"),
        patch("backwards", "3-2", b"ll", 416, "RANGE_INVALID"),
        patch("with a unit", "bytes 2-3", b"ll", 416, "RANGE_INVALID"),
        patch("with a total", "2-3/5", b"ll", 416, "RANGE_INVALID"),
        patch("open", "2-", b"llo", 416, "RANGE_INVALID"),
        patch("a suffix", "-2", b"ll", 416, "RANGE_INVALID"),
        patch("nothing", "", b"ll", 416, "RANGE_INVALID"),
        patch("thousands of digits", f"2-{'9' * 4000}", b"ll", 416, "RANGE_INVALID"),
    ),
    *under(
        "OCI 1.1 Error Codes",
        patch("a range longer than the chunk", "2-9", b"ll", 400, "SIZE_INVALID"),
        patch("a range shorter than the chunk", "2-2", b"ll", 400, "SIZE_INVALID"),
        patch("a range for no bytes", "2-2", b"", 400, "SIZE_INVALID"),
    ),
]


@pytest.mark.parametrize("call", WRONG_CHUNKS, ids=name_of)
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_a_wrong_chunk_leaves_the_session_as_it_was(registry: AsyncClient, method: str, call: Call) -> None:
    session = await append(registry, await begin(registry), b"he", "0-1")
    path = closing(session) if method == "PUT" else session
    await check(registry, Call(call.what, method, path, call.status, call.headers, call.body, call.code))
    await check(registry, Call("", "GET", session, 204, answers={"Range": "0-1"}))
    await check(registry, Call("", "PUT", closing(session), 201, {"Content-Range": "2-4"}, b"llo", answers=CREATED))


@CHUNKS
async def test_out_of_order_says_where_the_session_is(registry: AsyncClient) -> None:
    """CNCF Distribution's clients go on from these headers."""
    session = await append(registry, await begin(registry), b"he", "0-1")
    answers = {"Range": "0-1", "Location": plain(session)}
    await check(registry, Call("", "PATCH", session, 416, {"Content-Range": "7-8"}, b"xx", "RANGE_INVALID", answers))


@CHUNKS
async def test_a_first_chunk_out_of_order(registry: AsyncClient) -> None:
    session = await begin(registry)
    await check(registry, Call("", "PATCH", session, 416, {"Content-Range": "1-2"}, b"el", "RANGE_INVALID"))
    await check(registry, Call("", "GET", session, 204, answers={"Range": "0-0"}))
    await append(registry, session, b"he", "0-1", **{"Content-Range": "0-1"})


@pytest.mark.section("OCI 1.1 Error Codes")
async def test_a_stream_longer_than_its_range_is_refused(registry: AsyncClient) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield b"he"
        yield b"llo"

    session = await begin(registry)
    answer = await registry.patch(session, content=stream(), headers={"Content-Range": "0-1"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "SIZE_INVALID"
    await check(registry, Call("", "GET", BLOB, 404, code="BLOB_UNKNOWN"))


@CHUNKS
@pytest.mark.parametrize("size", [1, BUFFER_BYTES, BUFFER_BYTES + 1], ids=["a byte", "a buffer", "a buffer and a byte"])
async def test_chunks_of_any_size(registry: AsyncClient, size: int) -> None:
    chunks = [bytes([number]) * size for number in (1, 2, 3)]
    session, sent = await begin(registry), 0
    for chunk in chunks:
        content_range = {"Content-Range": f"{sent}-{sent + len(chunk) - 1}"}
        sent += len(chunk)
        session = await append(registry, session, chunk, f"0-{sent - 1}", **content_range)
    content = b"".join(chunks)
    await check(registry, Call("", "PUT", closing(session, sha256(content)), 201))
    await check(registry, Call("", "GET", f"/v2/team/app/blobs/{sha256(content)}", 200, content=content))
