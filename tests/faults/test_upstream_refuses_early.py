"""The upstream answers while the client is still sending: the client gets that answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest

from authproxy.proxy.upstream import Upstream
from tests.support.upstream import PATIENCE_S, Connection, fake_upstream, front_door

REFUSAL = b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\nnobody"
PIECE = bytes(256 * 1024)


async def refuse_and_stop_reading(connection: Connection) -> None:
    await connection.read_head()
    await connection.send(REFUSAL)
    await asyncio.Event().wait()


async def refuse_and_close(connection: Connection) -> None:
    # Unread data makes this a reset: what was sent may be lost on its way if it isn't read at once.
    await connection.read_head()
    await connection.send(REFUSAL)


async def refuse_and_read_on(connection: Connection) -> None:
    await connection.read_head()
    await connection.send(REFUSAL)
    await connection.wait_end()


@pytest.mark.parametrize("behave", [refuse_and_stop_reading, refuse_and_close, refuse_and_read_on])
async def test_refusal_reaches_a_client_that_is_still_sending(behave: object) -> None:
    assert callable(behave)
    sent = 0

    async def upload() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(400):
            sent += len(PIECE)
            yield PIECE

    async with (
        fake_upstream(behave) as upstream,
        front_door(Upstream(upstream.url)) as front,
        httpx.AsyncClient(base_url=front.url, timeout=PATIENCE_S) as client,
    ):
        answer = await client.patch("/v2/a/blobs/uploads/1", content=upload())
        assert (answer.status_code, answer.text) == (404, "nobody")
        await front.wait_idle()
        for connection in upstream.connections:
            connection.writer.close()


async def test_refusal_is_there_before_the_client_has_sent_all() -> None:
    async with fake_upstream(refuse_and_read_on) as upstream, front_door(Upstream(upstream.url)) as front:
        client = await front.connect(
            b"PATCH /v2/a/blobs/uploads/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
        )
        answer = asyncio.create_task(client.reader.readuntil(b"nobody"))
        # Half of it at most: the rest is never sent.
        for _ in range(500):
            await client.send(bytes(1000))
            await asyncio.wait([answer], timeout=0.01)
            if answer.done():
                break
        assert (await answer).startswith(b"HTTP/1.1 404 Not Found\r\n")
        client.writer.close()


async def test_success_before_the_end_does_not_cut_the_upload() -> None:
    async def accept_at_once(connection: Connection) -> None:
        await connection.read_head()
        await connection.send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        body = await connection.reader.readexactly(20 * len(PIECE))
        assert body == PIECE * 20
        complete.set()

    complete = asyncio.Event()
    async with (
        fake_upstream(accept_at_once) as upstream,
        front_door(Upstream(upstream.url)) as front,
        httpx.AsyncClient(base_url=front.url, timeout=PATIENCE_S) as client,
    ):
        answer = await client.patch("/v2/a/blobs/uploads/1", content=PIECE * 20)
        assert answer.status_code == 202
        await asyncio.wait_for(complete.wait(), PATIENCE_S)


async def test_upstream_that_closes_without_a_word_is_a_gateway_error() -> None:
    async def close(connection: Connection) -> None:
        await connection.read_head()

    async def upload() -> AsyncIterator[bytes]:
        for _ in range(400):
            yield PIECE

    async with (
        fake_upstream(close) as upstream,
        front_door(Upstream(upstream.url)) as front,
        httpx.AsyncClient(base_url=front.url, timeout=PATIENCE_S) as client,
    ):
        answer = await client.patch("/v2/a/blobs/uploads/1", content=upload())
        assert answer.status_code == 502


async def test_connection_of_a_cut_upload_is_not_used_again() -> None:
    async with (
        fake_upstream(refuse_and_read_on) as upstream,
        front_door(Upstream(upstream.url)) as front,
        httpx.AsyncClient(base_url=front.url, timeout=PATIENCE_S) as client,
    ):
        for _ in range(2):
            with contextlib.suppress(httpx.WriteError):
                answer = await client.patch("/v2/a/blobs/uploads/1", content=PIECE * 400)
                assert answer.status_code == 404
        assert len(upstream.connections) == 2
        async with asyncio.timeout(PATIENCE_S):
            await upstream.connections[0].ended.wait()
