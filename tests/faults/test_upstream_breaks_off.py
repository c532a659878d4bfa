"""The upstream breaks in the middle of its answer: the client must see it, never a body that only looks complete."""

import asyncio
import re

import httpx
import pytest

from authproxy.http.client.connection import Timeouts
from authproxy.proxy.upstream import Upstream
from tests.support.upstream import Connection, fake_upstream, front_door

# Without a length and without chunks the end of the connection is the end of the body: there nobody can tell.
BREAKING = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(50_000),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc350\r\n" + bytes(50_000) + b"\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc350\r\n" + bytes(10_000),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc350\r\n" + bytes(50_000) + b"\r\nnonsense\r\n",
]
IDS = ["length", "between chunks", "in a chunk", "nonsense for a chunk"]


@pytest.mark.parametrize("answer", BREAKING, ids=IDS)
async def test_broken_answer_breaks_the_clients(answer: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def behave(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(answer)

    async with (
        fake_upstream(behave) as upstream,
        front_door(Upstream(upstream.url)) as front,
        httpx.AsyncClient(base_url=front.url) as client,
    ):
        with pytest.raises(httpx.RemoteProtocolError, match=re.compile("incomplete|peer closed")):
            await client.get("/v2/a/blobs/sha256:" + "0" * 64)
    assert "broke off in the middle of its response" in caplog.text


async def test_answer_that_stops_is_ended_after_the_time_out() -> None:
    async def behave(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(BREAKING[0])
        await connection.wait_end()

    async with (
        fake_upstream(behave) as upstream,
        front_door(Upstream(upstream.url, timeouts=Timeouts(read_s=0.05))) as front,
        httpx.AsyncClient(base_url=front.url) as client,
    ):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/v2/a/blobs/sha256:" + "0" * 64)
        async with asyncio.timeout(5):
            await upstream.connections[0].ended.wait()


async def test_reset_in_the_middle_breaks_the_clients_answer() -> None:
    async def behave(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(BREAKING[0])
        connection.writer.transport.abort()

    async with (
        fake_upstream(behave) as upstream,
        front_door(Upstream(upstream.url)) as front,
        httpx.AsyncClient(base_url=front.url) as client,
    ):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/v2/a/blobs/sha256:" + "0" * 64)
