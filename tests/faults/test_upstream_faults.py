"""A line to a real registry that breaks in every way: what the client sees, and that nothing is left behind."""

import asyncio
import gc
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from authproxy.http.client.connection import Timeouts
from authproxy.proxy.upstream import Upstream
from tests.support.descriptors import open_descriptors
from tests.support.fault_proxy import Fault, FaultProxy, fault_proxy
from tests.support.peers import running_docker_registry
from tests.support.upstream import PATIENCE_S, FrontDoor, front_door

CONTENT = bytes(range(256)) * 2000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
BLOB = f"/v2/team/app/blobs/{DIGEST}"

# Longer than a busy machine takes for a piece, shorter than anybody waits for a test.
IMPATIENT = Timeouts(connect_s=5, read_s=1, write_s=5, pool_s=5)


@pytest.fixture(scope="module")
def registry_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with (
        running_docker_registry(Path(tmp_path_factory.mktemp("registry"))) as url,
        httpx.Client(base_url=url) as client,
    ):
        session = client.post("/v2/team/app/blobs/uploads/").headers["location"]
        put = client.put(session, params=httpx.URL(session).params.set("digest", DIGEST), content=CONTENT)
        assert put.status_code == 201
        port = urlsplit(url).port
        assert port is not None
        yield port


class Line(NamedTuple):
    proxy: FaultProxy
    front: FrontDoor
    client: httpx.AsyncClient


def running() -> tuple[set[str], int]:
    """Tasks by their names, and how many descriptors are open."""
    return {task.get_name() for task in asyncio.all_tasks()}, len(open_descriptors())


@asynccontextmanager
async def line(registry_port: int) -> AsyncIterator[Line]:
    """Client, proxy, fault proxy, registry. At the end of the block all is as it was before."""
    async with fault_proxy(registry_port) as proxy:
        gc.collect()  # what other tests left behind is closed now, and not in between
        before = running()
        async with (
            front_door(Upstream(proxy.url, timeouts=IMPATIENT)) as front,
            front.client() as client,
        ):
            client.timeout = httpx.Timeout(PATIENCE_S)
            yield Line(proxy, front, client)
            await front.wait_idle()
            # Whatever happened, the next request finds everything in order.
            await proxy.become(Fault.NONE)
            assert (await client.get(BLOB)).content == CONTENT
        async with asyncio.timeout(PATIENCE_S):
            while proxy.open or running() != before:  # noqa: ASYNC110 - the kernel tells nobody when one is closed
                await asyncio.sleep(0.005)


class Row(NamedTuple):
    what: str
    fault: Fault
    status: int
    message: str


BEFORE_THE_ANSWER = [
    Row("nobody listens", Fault.REFUSE, 502, "cannot be reached"),
    Row("reset at once", Fault.RESET, 502, "broke the connection"),
    Row("no answer", Fault.SILENT, 504, "took too long"),
    Row("garbage", Fault.GARBAGE, 502, "did not answer in HTTP"),
    Row("overloaded", Fault.OVERLOADED, 503, "busy"),
    Row("ends at once", Fault.CUT, 502, "broke the connection"),
    Row("stops at once", Fault.STOP, 504, "took too long"),
]


@pytest.mark.parametrize("row", BEFORE_THE_ANSWER, ids=attrgetter("what"))
@pytest.mark.parametrize("method", ["GET", "HEAD", "PATCH"])
async def test_fault_before_the_answer(registry_port: int, row: Row, method: str) -> None:
    async with line(registry_port) as (proxy, _, client):
        session = (await client.post("/v2/team/app/blobs/uploads/")).headers["location"]
        await proxy.become(row.fault)
        path = session if method == "PATCH" else BLOB
        answer = await client.request(method, path, content=CONTENT if method == "PATCH" else None)
        # On an idle connection a fault may have been there before the request: the same for whoever asks.
        assert answer.status_code == row.status
        if method != "HEAD":
            assert row.message in answer.text
        if row.fault is Fault.OVERLOADED:
            assert answer.headers["retry-after"] == "7"


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.STOP], ids=attrgetter("value"))
@pytest.mark.parametrize("after_bytes", [1000, len(CONTENT) // 2, len(CONTENT)])
async def test_fault_in_the_body_breaks_the_clients_connection(
    registry_port: int, fault: Fault, after_bytes: int
) -> None:
    async with line(registry_port) as (proxy, _, client):
        await proxy.become(fault, after_bytes=after_bytes)
        async with client.stream("GET", BLOB) as answer:
            assert answer.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError):
                await answer.aread()


async def test_request_that_is_cut_is_a_gateway_error_and_is_not_sent_again(registry_port: int) -> None:
    async with line(registry_port) as (proxy, _, client):
        session = (await client.post("/v2/team/app/blobs/uploads/")).headers["location"]
        await proxy.become(Fault.CUT_REQUEST, after_bytes=100_000)
        taken = proxy.taken
        answer = await client.patch(session, content=CONTENT)
        assert (answer.status_code, "broke the connection" in answer.text) == (502, True)
        assert proxy.taken == taken


async def test_slow_drip_comes_through_whole_however_long_it_takes(registry_port: int) -> None:
    async with line(registry_port) as (proxy, _, client):
        await proxy.become(Fault.DRIP)
        clock = asyncio.get_running_loop().time
        began = clock()
        answer = await client.get(BLOB)
        assert answer.content == CONTENT
        # Every piece came in time, all of them together did not: it is the pieces that are waited for.
        assert clock() - began > IMPATIENT.read_s


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.STOP, Fault.DRIP], ids=attrgetter("value"))
async def test_client_that_leaves_during_a_fault_leaves_nothing_behind(registry_port: int, fault: Fault) -> None:
    async with line(registry_port) as (proxy, front, _):
        await proxy.become(fault, after_bytes=5000)
        leaving = await front.connect(f"GET {BLOB} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        if fault is not Fault.SILENT:
            await leaving.reader.readexactly(1000)
        leaving.writer.transport.abort()


async def test_many_faults_at_once_leave_nothing_behind(registry_port: int) -> None:
    async with line(registry_port) as (proxy, _, client):
        for fault in Fault:
            await proxy.become(fault, after_bytes=20_000)
            answers = await asyncio.gather(*(client.get(BLOB) for _ in range(8)), return_exceptions=True)
            for answer in answers:
                if isinstance(answer, BaseException):
                    assert isinstance(answer, httpx.RemoteProtocolError)
                else:
                    assert answer.status_code in (200, 502, 503, 504)
                    assert answer.status_code != 200 or answer.content == CONTENT
