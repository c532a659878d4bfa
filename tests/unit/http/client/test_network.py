"""The connection under HTTP: early answers, back-pressure, and connections that died while idle."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest
import trustme

from authproxy.http.client.errors import ConnectTimedOut, TimedOut, Unreachable, WentStale
from authproxy.http.client.network import MAX_BUFFERED_BYTES, HasAnswered, Wire, open_wire, refuses
from tests.support.upstream import PATIENCE_S, Connection, fake_upstream

REFUSALS = [
    b"HTTP/1.1 404 Not Found",
    b"HTTP/1.1 307",
    b"HTTP/1.1 5",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 Too Large\r\n",
    b"HTTP/1.1 103 Early\r\na: b\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 401 U",
    b"SSH-2.0-OpenSSH_9.2\r\n",
]
GO_ON = [
    b"",
    b"HTTP/1.1 ",
    b"HTTP/1.1 201 Created\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted",
]


@pytest.mark.parametrize("answer", REFUSALS, ids=repr)
def test_refusal_ends_the_sending(answer: bytes) -> None:
    assert refuses(answer)


@pytest.mark.parametrize("answer", GO_ON, ids=repr)
def test_sending_goes_on(answer: bytes) -> None:
    assert not refuses(answer)


async def echo(connection: Connection) -> None:
    while line := await connection.reader.readline():
        await connection.send(line)


async def connect(port: int) -> Wire:
    return await open_wire("127.0.0.1", port, timeout=PATIENCE_S)


async def ask(wire: Wire, request: bytes) -> None:
    wire.begin_request()
    await wire.write(request, PATIENCE_S)


def receive(wire: Wire, data: bytes) -> None:
    wire.get_buffer(-1)[: len(data)] = data
    wire.buffer_updated(len(data))


async def write_for_ever(wire: Wire) -> None:
    while True:
        await wire.write(bytes(1024 * 1024), timeout=PATIENCE_S)


async def test_what_is_written_arrives_and_the_answer_is_read() -> None:
    async with fake_upstream(echo) as upstream:
        wire = await connect(upstream.port)
        await wire.write(b"hello\n", PATIENCE_S)
        assert await wire.read(PATIENCE_S) == b"hello\n"
        assert repr(wire) == "<Wire open, 0 bytes to read>"
        wire.abort()
        assert await wire.read(PATIENCE_S) == b""
        assert repr(wire) == "<Wire closed, 0 bytes to read>"


async def test_unread_answer_is_bounded_and_none_of_it_is_lost() -> None:
    total = 8 * MAX_BUFFERED_BYTES

    async def flood(connection: Connection) -> None:
        await connection.send(bytes(total))

    async with fake_upstream(flood) as upstream:
        wire = await connect(upstream.port)
        received = 0
        while piece := await wire.read(PATIENCE_S):
            received += len(piece)
            # One more read of the socket may have been under way when the bound was reached.
            assert wire._buffered < MAX_BUFFERED_BYTES + 256 * 1024
            await asyncio.sleep(0)
        assert received == total
        wire.abort()


async def test_write_waits_for_an_upstream_that_does_not_read() -> None:
    resume = asyncio.Event()
    got = bytearray()

    async def hold(connection: Connection) -> None:
        await resume.wait()
        while piece := await connection.reader.read(65536):
            got.extend(piece)

    async with fake_upstream(hold) as upstream:
        wire = await connect(upstream.port)
        piece = bytes(16 * 1024 * 1024)
        with pytest.raises(TimedOut):
            await wire.write(piece, timeout=0.05)
        resume.set()
        await wire.write(b"end", timeout=PATIENCE_S)
        wire.abort()


async def test_a_short_wait_after_a_long_one_is_as_short_as_it_says() -> None:
    async with fake_upstream(echo) as upstream:
        wire = await connect(upstream.port)
        await ask(wire, b"1\n")
        assert await wire.read(PATIENCE_S) == b"1\n"
        begun = asyncio.get_running_loop().time()
        with pytest.raises(TimedOut):
            await wire.read(0.05)
        assert asyncio.get_running_loop().time() - begun < PATIENCE_S / 2
        wire.abort()


async def test_a_long_wait_outlives_the_timer_of_a_short_one() -> None:
    answer = asyncio.Event()

    async def answer_late(connection: Connection) -> None:
        assert await connection.reader.readline() == b"1\n"
        await connection.send(b"1\n")
        await answer.wait()
        await connection.send(b"2\n")
        await connection.wait_end()

    async with fake_upstream(answer_late) as upstream:
        wire = await connect(upstream.port)
        await ask(wire, b"1\n")
        assert await wire.read(0.05) == b"1\n"
        asyncio.get_running_loop().call_later(0.1, answer.set)
        assert await wire.read(PATIENCE_S) == b"2\n"
        wire.abort()


async def test_early_refusal_ends_a_blocked_write_and_is_read() -> None:
    refusal = b"HTTP/1.1 413 Too Large\r\n\r\n"

    async def refuse(connection: Connection) -> None:
        await connection.reader.readexactly(1)
        await connection.send(refusal)
        await connection.wait_end()

    async with fake_upstream(refuse) as upstream:
        wire = await connect(upstream.port)
        with pytest.raises(HasAnswered, match="has answered"):
            await write_for_ever(wire)
        assert await wire.read(PATIENCE_S) == refusal
        wire.abort()


async def hang_up_after_first(connection: Connection) -> None:
    await connection.reader.readexactly(1)
    await connection.send(b"answer")
    await connection.reader.readexactly(1)


async def test_connection_closed_while_idle_is_told_from_one_that_broke() -> None:
    async with fake_upstream(hang_up_after_first) as upstream:
        wire = await connect(upstream.port)
        await ask(wire, b"1")
        assert await wire.read(PATIENCE_S) == b"answer"
        await ask(wire, b"2")
        with pytest.raises(WentStale):
            await wire.read(PATIENCE_S)
        assert wire.is_readable()
        wire.abort()


async def test_first_request_on_a_connection_is_never_stale() -> None:
    async def hang_up(connection: Connection) -> None:
        await connection.reader.readexactly(1)

    async with fake_upstream(hang_up) as upstream:
        wire = await connect(upstream.port)
        await ask(wire, b"1")
        assert await wire.read(PATIENCE_S) == b""
        wire.abort()


async def test_bytes_between_two_requests_are_no_answer_to_the_second() -> None:
    async with fake_upstream(echo) as upstream:
        wire = await connect(upstream.port)
        await ask(wire, b"1\n")
        assert await wire.read(PATIENCE_S) == b"1\n"
        assert not wire.is_readable()
        receive(wire, b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        assert wire.is_readable()
        with pytest.raises(HasAnswered):
            await ask(wire, b"2\n")
        with pytest.raises(WentStale):
            await wire.read(PATIENCE_S)
        wire.abort()


async def test_nobody_listens_is_a_connect_error() -> None:
    async with fake_upstream(echo) as upstream:
        port = upstream.port
    with pytest.raises(Unreachable):
        await connect(port)


@pytest.fixture
async def tls_port(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[int, trustme.CA]]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], authority


async def test_encrypted(tls_port: tuple[int, trustme.CA]) -> None:
    port, authority = tls_port
    context = ssl.create_default_context()
    authority.configure_trust(context)
    wire = await open_wire("localhost", port, tls=context, timeout=PATIENCE_S)
    await wire.write(b"hello\n", timeout=PATIENCE_S)
    assert await wire.read(PATIENCE_S) == b"hello\n"
    assert wire._transport is not None
    assert wire._transport.get_extra_info("ssl_object") is not None
    wire.abort()


async def test_unknown_certificate_is_a_connect_error(tls_port: tuple[int, trustme.CA]) -> None:
    port, _ = tls_port
    with pytest.raises(Unreachable, match="certificate verify failed"):
        await open_wire("localhost", port, tls=ssl.create_default_context(), timeout=PATIENCE_S)


async def test_handshake_that_never_ends_is_a_connect_timeout() -> None:
    async with fake_upstream(Connection.wait_end) as upstream:
        with pytest.raises(ConnectTimedOut):
            await open_wire("localhost", upstream.port, tls=ssl.create_default_context(), timeout=0.05)
        async with asyncio.timeout(PATIENCE_S):
            await upstream.connections[0].ended.wait()
