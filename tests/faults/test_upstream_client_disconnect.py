"""The client goes away: the upstream's connection is closed at once, and nothing of the exchange lives on."""

import asyncio

import httpx
import pytest

from authproxy.http.server.connection import Connection as ServerConnection
from authproxy.proxy.upstream import Upstream
from tests.support.upstream import PATIENCE_S, Connection, Http, fake_upstream, front_door

DOWNLOAD = b"GET /v2/a/blobs/sha256:" + b"0" * 64 + b" HTTP/1.1\r\nHost: a\r\n\r\n"
UPLOAD = b"PATCH /v2/a/blobs/uploads/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
CHUNKED = b"PATCH /v2/a/blobs/uploads/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(params=["httptools", ServerConnection], ids=["uvicorn's", "ours"])
def http(request: pytest.FixtureRequest) -> Http:
    """A server that says by its messages alone when a client has gone, and ours, which calls."""
    found: Http = request.param
    return found


async def test_gone_during_an_upload_ends_the_upstreams_request(http: Http) -> None:
    body_began = asyncio.Event()

    async def behave(connection: Connection) -> None:
        await connection.read_head()
        await connection.reader.readexactly(10)
        body_began.set()
        await connection.wait_end()

    for request in (UPLOAD + bytes(10), CHUNKED + b"a\r\n" + bytes(10) + b"\r\n"):
        body_began.clear()
        async with fake_upstream(behave) as upstream, front_door(Upstream(upstream.url), http=http) as front:
            client = await front.connect(request)
            async with asyncio.timeout(PATIENCE_S):
                await body_began.wait()
                client.writer.close()
                await upstream.connections[0].ended.wait()
            await front.wait_idle()


async def test_chunked_upload_that_broke_off_has_no_last_chunk_upstream(http: Http) -> None:
    received = bytearray()
    began = asyncio.Event()

    async def behave(connection: Connection) -> None:
        await connection.read_head()
        while piece := await connection.reader.read(65536):
            received.extend(piece)
            began.set()
        connection.ended.set()

    async with fake_upstream(behave) as upstream, front_door(Upstream(upstream.url), http=http) as front:
        client = await front.connect(CHUNKED + b"5\r\nhello\r\n")
        async with asyncio.timeout(PATIENCE_S):
            await began.wait()
            client.writer.close()
            await upstream.connections[0].ended.wait()
    assert bytes(received) == b"5\r\nhello\r\n"


async def test_gone_while_the_upstream_is_thinking(http: Http) -> None:
    asked = asyncio.Event()

    async def behave(connection: Connection) -> None:
        await connection.read_request()
        asked.set()
        await connection.wait_end()

    for request in (DOWNLOAD, UPLOAD + bytes(1_000_000)):
        asked.clear()
        async with fake_upstream(behave) as upstream, front_door(Upstream(upstream.url), http=http) as front:
            client = await front.connect(request)
            async with asyncio.timeout(PATIENCE_S):
                await asked.wait()
                client.writer.close()
                await upstream.connections[0].ended.wait()
            await front.wait_idle()


async def test_gone_during_a_download_closes_the_upstreams_answer(http: Http) -> None:
    async def flood(connection: Connection) -> None:
        await connection.read_head()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            await connection.send(bytes(65536))

    async with fake_upstream(flood) as upstream, front_door(Upstream(upstream.url), http=http) as front:
        client = await front.connect(DOWNLOAD)
        async with asyncio.timeout(PATIENCE_S):
            await client.reader.readexactly(1_000_000)
            client.writer.close()
            await upstream.connections[0].ended.wait()
        await front.wait_idle()


async def test_gone_during_a_download_that_has_stopped(http: Http) -> None:
    async def stop(connection: Connection) -> None:
        await connection.read_head()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + bytes(1000))
        await connection.wait_end()

    async with fake_upstream(stop) as upstream, front_door(Upstream(upstream.url), http=http) as front:
        client = await front.connect(DOWNLOAD)
        async with asyncio.timeout(PATIENCE_S):
            await client.reader.readuntil(bytes(1000))
            client.writer.close()
            await upstream.connections[0].ended.wait()
        await front.wait_idle()


async def test_pool_is_whole_after_clients_have_gone_at_every_moment(http: Http) -> None:
    async def serve(connection: Connection) -> None:
        while True:
            await connection.read_head()
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n")
            for _ in range(3):
                await connection.send(bytes(1000))
                await asyncio.sleep(0)

    async with fake_upstream(serve) as upstream:
        backend = Upstream(upstream.url)
        async with front_door(backend, http=http) as front:
            for turns in range(40):
                client = await front.connect(DOWNLOAD)
                for _ in range(turns):
                    await asyncio.sleep(0)
                client.writer.transport.abort()
            await front.wait_idle()
            pool = backend._balancer._pools[0]
            assert ", 0 lent, " in repr(pool)
            # Idle ones are whole: the next request is served on one of them.
            async with httpx.AsyncClient(base_url=front.url) as healthy:
                assert (await healthy.get("/v2/")).status_code == 200


async def test_slow_client_slows_the_upstream_down(http: Http) -> None:
    sent = 0

    async def flood(connection: Connection) -> None:
        nonlocal sent
        await connection.read_head()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            await connection.send(bytes(65536))
            sent += 65536

    async with fake_upstream(flood) as upstream, front_door(Upstream(upstream.url), http=http) as front:
        client = await front.connect(DOWNLOAD)
        await client.reader.readexactly(100_000)
        before = -1
        async with asyncio.timeout(PATIENCE_S):
            while sent != before:
                before = sent
                await asyncio.sleep(0.2)
        # Kernel buffers of two connections, and what we hold; a gigabyte was on offer.
        assert sent < 64 * 1024 * 1024
        client.writer.close()


async def test_slow_upstream_slows_the_client_down(http: Http) -> None:
    async with fake_upstream(_never_reads) as upstream, front_door(Upstream(upstream.url), http=http) as front:
        client = await front.connect(UPLOAD.replace(b"1000000", b"1000000000"))
        sent = 0
        async with asyncio.timeout(PATIENCE_S):
            while True:
                client.writer.write(bytes(65536))
                try:
                    await asyncio.wait_for(client.writer.drain(), 0.3)
                except TimeoutError:
                    break
                sent += 65536
        assert sent < 64 * 1024 * 1024
        client.writer.transport.abort()
        # The server does not read from a client that is ahead, so only the upstream can end this (or its time-out).
        upstream.connections[0].writer.transport.abort()
        await front.wait_idle()


async def _never_reads(connection: Connection) -> None:
    await connection.read_head()
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]  # asyncio's TCP transports can
    await asyncio.Event().wait()
