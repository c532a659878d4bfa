"""The upstream is down, silent, or talks nonsense: a protocol error with 502 or 504, and never a hang."""

import asyncio
from dataclasses import replace
from operator import attrgetter
from typing import NamedTuple

import httpx
import pytest

from authproxy import budget
from authproxy.http.client.connection import Timeouts
from authproxy.proxy.upstream import Upstream
from tests.support.upstream import Behaviour, Connection, answering, fake_upstream, front_door

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
IMPATIENT = Timeouts(connect_s=5, read_s=0.05, write_s=5, pool_s=0.05)


async def read_and_hang(connection: Connection) -> None:
    await connection.read_request()
    await connection.wait_end()


async def read_and_close(connection: Connection) -> None:
    await connection.read_request()


async def half_a_head(connection: Connection) -> None:
    await connection.read_request()
    await connection.send(b"HTTP/1.1 200 OK\r\nContent-Le")


class Fault(NamedTuple):
    what: str
    behave: Behaviour
    status: int
    message: str


SAYS = b"HTTP/1.1 200 OK\r\n"
BROKE = "broke the connection before it answered"
NO_HTTP = "did not answer in HTTP"
FAULTS = [
    Fault("silent", read_and_hang, 504, "took too long to answer"),
    Fault("closes before it answers", read_and_close, 502, BROKE),
    Fault("closes within its headers", half_a_head, 502, BROKE),
    Fault("another protocol", answering(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), 502, NO_HTTP),
    Fault("a broken header", answering(SAYS + b"A b: c\r\n\r\n"), 502, NO_HTTP),
    Fault("headers without an end", answering(SAYS + b"A: " + bytes(300_000)), 502, NO_HTTP),
    Fault("two lengths", answering(SAYS + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), 502, NO_HTTP),
    Fault("another protocol agreed", answering(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"), 502, NO_HTTP),
    Fault("a status that is none", answering(b"HTTP/1.1 799 What\r\nContent-Length: 0\r\n\r\n"), 502, NO_HTTP),
    Fault("a control character", answering(SAYS + b"A: b\x01\r\nContent-Length: 0\r\n\r\n"), 502, NO_HTTP),
    Fault(
        "a length and chunks",
        answering(SAYS + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        502,
        NO_HTTP,
    ),
    Fault("a coding that is none", answering(SAYS + b"Transfer-Encoding: gzip\r\n\r\nxx"), 502, NO_HTTP),
    Fault("a folded header", answering(SAYS + b"A: b\r\n c\r\n\r\n"), 502, NO_HTTP),
]


@pytest.mark.parametrize("fault", FAULTS, ids=attrgetter("what"))
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_fault(fault: Fault, method: str) -> None:
    async with (
        fake_upstream(fault.behave) as upstream,
        front_door(Upstream(upstream.url, timeouts=IMPATIENT)) as front,
        httpx.AsyncClient(base_url=front.url) as client,
    ):
        answer = await client.request(method, "/v2/a/manifests/b", content=b"{}" if method == "PUT" else None)
        assert answer.status_code == fault.status
        assert answer.json()["errors"][0]["code"] == "UNAVAILABLE"
        assert fault.message in answer.json()["errors"][0]["message"]
        # The address of the upstream is nobody's business.
        assert str(upstream.port) not in answer.text
        await front.wait_idle()
        async with asyncio.timeout(5):
            await asyncio.gather(*(connection.wait_end() for connection in upstream.connections))


async def test_nobody_listens() -> None:
    async with fake_upstream(answering(OK)) as upstream:
        url = upstream.url
    async with front_door(Upstream(url)) as front, httpx.AsyncClient(base_url=front.url) as client:
        answer = await client.get("/v2/")
        assert answer.status_code == 502
        assert "cannot be reached" in answer.text


async def test_upstream_that_comes_back_is_used_again() -> None:
    async with fake_upstream(answering(OK)) as first:
        port = first.port
    async with (
        front_door(Upstream(f"http://127.0.0.1:{port}")) as front,
        httpx.AsyncClient(base_url=front.url) as client,
    ):
        assert (await client.get("/v2/")).status_code == 502
        async with fake_upstream(answering(OK), port=port):
            assert (await client.get("/v2/")).status_code == 200


async def test_all_connections_busy_is_said_after_a_bounded_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "UPSTREAM_CONNECTIONS", 1)
    monkeypatch.setattr(budget, "CALLER_SHARE", 2)
    busy = asyncio.Event()

    async def hold(connection: Connection) -> None:
        await connection.read_request()
        busy.set()
        await connection.wait_end()

    async with (
        fake_upstream(hold) as upstream,
        front_door(Upstream(upstream.url, timeouts=replace(IMPATIENT, read_s=60))) as front,
        httpx.AsyncClient(base_url=front.url) as client,
    ):
        holding = await front.connect(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n")
        await busy.wait()
        answer = await client.get("/v2/")
        assert answer.status_code == 503
        assert "busy" in answer.text
        holding.writer.close()


def hanging_up(*, when_answered: int) -> Behaviour:
    """Answers so many requests on a connection, and closes it when the next has come."""

    async def behave(connection: Connection) -> None:
        for _ in range(when_answered):
            await connection.read_request()
            await connection.send(OK)
        await connection.read_request()

    return behave


async def test_read_on_a_connection_that_died_while_idle_is_repeated_once() -> None:
    async with (
        fake_upstream(hanging_up(when_answered=1)) as upstream,
        front_door(Upstream(upstream.url)) as front,
        httpx.AsyncClient(base_url=front.url) as client,
    ):
        for _ in range(3):
            assert (await client.get("/v2/")).text == "ok"
        assert len(upstream.connections) == 3


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
async def test_write_is_never_repeated(method: str) -> None:
    paths = {"POST": "/v2/a/blobs/uploads/", "DELETE": "/v2/a/manifests/b", "PUT": "/v2/a/manifests/b"}
    async with (
        fake_upstream(hanging_up(when_answered=1)) as upstream,
        front_door(Upstream(upstream.url)) as front,
        httpx.AsyncClient(base_url=front.url) as client,
    ):
        assert (await client.get("/v2/")).text == "ok"
        answer = await client.request(method, paths[method], content=b"{}" if method == "PUT" else None)
        assert answer.status_code == 502
        assert "broke the connection" in answer.text
        assert len(upstream.connections) == 1


async def test_read_on_a_fresh_connection_is_not_repeated() -> None:
    async with (
        fake_upstream(hanging_up(when_answered=0)) as upstream,
        front_door(Upstream(upstream.url)) as front,
        httpx.AsyncClient(base_url=front.url) as client,
    ):
        assert (await client.get("/v2/")).status_code == 502
        assert len(upstream.connections) == 1
