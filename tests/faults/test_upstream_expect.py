"""`Expect: 100-continue`: a client is asked for its body when the upstream wants it, and not before."""

import asyncio

import pytest

from authproxy.http.client import connection
from authproxy.proxy.upstream import Upstream
from tests.support.upstream import PATIENCE_S, Connection, fake_upstream, front_door

HEAD = b"PATCH /v2/a/blobs/uploads/1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


async def test_body_is_asked_for_when_the_upstream_wants_it() -> None:
    wants = asyncio.Event()

    async def behave(connection: Connection) -> None:
        assert b"\r\nexpect: 100-continue\r\n" in await connection.read_head()
        await wants.wait()
        await connection.send(CONTINUE)
        assert await connection.reader.readexactly(5) == b"hello"
        await connection.send(ACCEPTED)

    async with fake_upstream(behave) as upstream, front_door(Upstream(upstream.url)) as front:
        client = await front.connect(HEAD)
        asked = asyncio.ensure_future(client.reader.readuntil(b"\r\n\r\n"))
        assert not (await asyncio.wait([asked], timeout=0.1))[0]
        wants.set()
        async with asyncio.timeout(PATIENCE_S):
            assert await asked == CONTINUE
            client.writer.write(b"hello")
            assert (await client.read_head()).startswith(b"HTTP/1.1 202 ")
        client.writer.close()


@pytest.mark.parametrize("status", ["404 Not Found", "413 Too Large", "401 Unauthorized", "417 Expectation Failed"])
async def test_body_that_the_upstream_refuses_is_never_asked_for(status: str) -> None:
    async def refuse(connection: Connection) -> None:
        await connection.read_head()
        await connection.send(f"HTTP/1.1 {status}\r\nContent-Length: 6\r\n\r\nnobody".encode())
        assert await connection.reader.read() == b""

    async with (
        fake_upstream(refuse) as upstream,
        front_door(Upstream(upstream.url, pass_authorization=True)) as front,
    ):
        client = await front.connect(HEAD)
        async with asyncio.timeout(PATIENCE_S):
            answer = await client.reader.readuntil(b"nobody")
            assert answer.startswith(f"HTTP/1.1 {status[:3]} ".encode())
            assert CONTINUE not in answer
            await front.wait_idle()
        client.writer.close()


async def test_body_is_asked_for_after_a_while_where_the_upstream_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "CONTINUE_WITHIN_S", 0.05)

    async def behave(connection: Connection) -> None:
        _, body = await connection.read_request()
        assert body == b"hello"
        await connection.send(ACCEPTED)

    async with fake_upstream(behave) as upstream, front_door(Upstream(upstream.url)) as front:
        client = await front.connect(HEAD)
        async with asyncio.timeout(PATIENCE_S):
            assert await client.read_head() == CONTINUE
            client.writer.write(b"hello")
            assert (await client.read_head()).startswith(b"HTTP/1.1 202 ")
        client.writer.close()


async def test_upstream_that_goes_away_meanwhile_is_a_gateway_error() -> None:
    async def leave(connection: Connection) -> None:
        await connection.read_head()

    async with fake_upstream(leave) as upstream, front_door(Upstream(upstream.url)) as front:
        client = await front.connect(HEAD)
        async with asyncio.timeout(PATIENCE_S):
            assert (await client.read_head()).startswith(b"HTTP/1.1 502 ")
        client.writer.close()


async def test_client_that_goes_away_before_it_was_asked_ends_the_upstreams_request() -> None:
    arrived = asyncio.Event()

    async def think(connection: Connection) -> None:
        await connection.read_head()
        arrived.set()
        await connection.wait_end()

    async with fake_upstream(think) as upstream, front_door(Upstream(upstream.url)) as front:
        client = await front.connect(HEAD)
        async with asyncio.timeout(PATIENCE_S):
            await arrived.wait()
            client.writer.transport.abort()
            await upstream.connections[0].ended.wait()
            await front.wait_idle()


async def test_garbage_in_place_of_leave_is_a_gateway_error_at_once() -> None:
    async def garble(connection: Connection) -> None:
        await connection.read_head()
        await connection.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        await connection.wait_end()

    async with fake_upstream(garble) as upstream, front_door(Upstream(upstream.url)) as front:
        client = await front.connect(HEAD)
        async with asyncio.timeout(PATIENCE_S):
            assert (await client.read_head()).startswith(b"HTTP/1.1 502 ")
        client.writer.close()
