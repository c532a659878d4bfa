"""Several addresses of one upstream, over sockets: who is asked, who is asked next, and what is never asked twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from authproxy.http.client.address import parse_addresses
from authproxy.http.client.connection import Timeouts, UpstreamRequest
from authproxy.http.client.errors import BrokeOff, NotHttp, Unreachable, UpstreamError
from authproxy.http.client.pool import Pool
from authproxy.proxy.balancer import Balancer, HealthCheck
from authproxy.proxy.outlier_detection import EJECT_AFTER, FIRST_EJECTION_S
from tests.support.upstream import PATIENCE_S, Behaviour, Connection, FakeUpstream, answering, fake_upstream

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
GET = UpstreamRequest("GET", b"/v2/", [(b"host", b"a")])
POST = UpstreamRequest("POST", b"/v2/a/blobs/uploads/", [(b"host", b"a"), (b"content-length", b"0")])


async def hang_up(connection: Connection) -> None:
    await connection.read_request()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def balancer_of(urls: list[str], clock: Clock | None = None) -> AsyncIterator[Balancer]:
    balancer = Balancer([Pool(address, None, Timeouts()) for address in parse_addresses(urls)], clock or Clock())
    yield balancer
    balancer.close()


@asynccontextmanager
async def upstreams(*behaviours: Behaviour) -> AsyncIterator[list[FakeUpstream]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(fake_upstream(behave)) for behave in behaviours]


async def free_url() -> str:
    async with fake_upstream(hang_up) as fake:
        return fake.url


async def ask(balancer: Balancer, request: UpstreamRequest = GET) -> tuple[int, int]:
    """The status, and the port that gave it."""
    address, answer = await balancer.ask(request)
    async for _ in answer:
        pass
    answer.close()
    return answer.status, address.port


async def test_equals_take_turns() -> None:
    async with upstreams(answering(OK), answering(OK)) as fakes, balancer_of([fake.url for fake in fakes]) as balancer:
        asked = Counter([(await ask(balancer))[1] for _ in range(10)])
    assert asked == {fake.port: 5 for fake in fakes}


async def test_one_that_is_slow_gets_less() -> None:
    async with upstreams(answering(OK), answering(OK)) as fakes, balancer_of([fake.url for fake in fakes]) as balancer:
        held = [await balancer.ask(GET) for _ in range(2)]  # one each
        address, answer = held.pop()
        async for _ in answer:
            pass
        answer.close()
        assert {(await ask(balancer))[1] for _ in range(5)} == {address.port}
        held[0][1].close()


@pytest.mark.parametrize("fault", [hang_up, answering(b"SSH-2.0\r\n\r\n"), answering(BUSY)], ids=["end", "ssh", "503"])
async def test_question_that_one_does_not_answer_goes_to_another(fault: Behaviour) -> None:
    async with upstreams(fault, answering(OK)) as fakes, balancer_of([fake.url for fake in fakes]) as balancer:
        assert {await ask(balancer) for _ in range(4)} == {(200, fakes[1].port)}
        assert fakes[0].connections


@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
async def test_what_found_no_connection_goes_to_another(request_: UpstreamRequest) -> None:
    async with upstreams(answering(OK)) as fakes, balancer_of([await free_url(), fakes[0].url]) as balancer:
        assert {await ask(balancer, request_) for _ in range(4)} == {(200, fakes[0].port)}


WRITES = [(hang_up, BrokeOff), (answering(b"SSH-2.0\r\n\r\n"), NotHttp)]


@pytest.mark.parametrize(("fault", "error"), WRITES, ids=["end", "ssh"])
async def test_write_that_was_sent_is_never_sent_again(fault: Behaviour, error: type[UpstreamError]) -> None:
    async with upstreams(fault, fault) as fakes, balancer_of([fake.url for fake in fakes]) as balancer:
        with pytest.raises(error):
            await ask(balancer, POST)
        assert sum(len(fake.connections) for fake in fakes) == 1


async def test_write_that_is_refused_for_now_is_not_sent_again() -> None:
    async with (
        upstreams(answering(BUSY), answering(BUSY)) as fakes,
        balancer_of([fake.url for fake in fakes]) as balancer,
    ):
        assert (await ask(balancer, POST))[0] == 503
        assert sum(len(fake.connections) for fake in fakes) == 1


async def test_last_ones_answer_counts_where_all_fail() -> None:
    async with (
        upstreams(answering(BUSY), answering(BUSY)) as fakes,
        balancer_of([fake.url for fake in fakes]) as balancer,
    ):
        assert (await ask(balancer))[0] == 503
        assert [len(fake.connections) for fake in fakes] == [1, 1]
    async with balancer_of([await free_url(), await free_url()]) as balancer:
        with pytest.raises(Unreachable):
            await ask(balancer)


async def test_one_that_fails_is_left_out_and_gets_another_chance() -> None:
    clock = Clock()
    async with upstreams(hang_up, answering(OK)) as fakes, balancer_of([fake.url for fake in fakes], clock) as balancer:
        for _ in range(4 * EJECT_AFTER):
            await ask(balancer)
        assert len(fakes[0].connections) == EJECT_AFTER
        clock.now += FIRST_EJECTION_S
        for _ in range(4):
            await ask(balancer)
        assert len(fakes[0].connections) == EJECT_AFTER + 1


async def test_only_one_is_asked_however_often_it_failed() -> None:
    async with upstreams(hang_up) as fakes, balancer_of([fakes[0].url]) as balancer:
        for _ in range(2 * EJECT_AFTER):
            with pytest.raises(BrokeOff):
                await ask(balancer)
        assert len(fakes[0].connections) == 2 * EJECT_AFTER


async def test_health_checks_take_one_out_and_bring_it_back() -> None:
    asked = asyncio.Event()
    answer = BUSY

    async def ailing(connection: Connection) -> None:
        while True:
            head, _ = await connection.read_request()
            if head.startswith(b"GET /healthz "):
                asked.set()
            await connection.send(answer)

    async def wait_until(balancer: Balancer, *, is_well: bool) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while balancer._health[0].is_well is not is_well:
                asked.clear()
                await asked.wait()
                await asyncio.sleep(0)

    check = HealthCheck("/healthz", interval_s=0.005, timeout_s=PATIENCE_S, threshold=2)
    async with upstreams(ailing, answering(OK)) as fakes, balancer_of([fake.url for fake in fakes]) as balancer:
        watching = asyncio.create_task(balancer.watch(check))
        await wait_until(balancer, is_well=False)
        assert {await ask(balancer) for _ in range(4)} == {(200, fakes[1].port)}
        answer = OK
        await wait_until(balancer, is_well=True)
        assert {port for _, port in [await ask(balancer) for _ in range(4)]} == {fake.port for fake in fakes}
        watching.cancel()
        await asyncio.wait([watching])


async def test_health_check_that_hangs_is_a_failure() -> None:
    async def hang(connection: Connection) -> None:
        await connection.wait_end()

    async with upstreams(hang) as fakes, balancer_of([fakes[0].url]) as balancer:
        watching = asyncio.create_task(balancer.watch(HealthCheck(interval_s=60, timeout_s=0.01, threshold=1)))
        async with asyncio.timeout(PATIENCE_S):
            while balancer._health[0].is_well:  # noqa: ASYNC110 - nothing reports that an address failed
                await asyncio.sleep(0.005)
        watching.cancel()
        await asyncio.wait([watching])
        assert fakes[0].connections
        assert balancer._pools[0].in_flight == 0


async def test_states_tell_who_is_asked_and_who_fails() -> None:
    clock = Clock()
    async with upstreams(answering(OK), hang_up) as fakes, balancer_of([fake.url for fake in fakes], clock) as balancer:
        well, broken = (fake.url for fake in fakes)
        assert balancer.states() == ((well, True, 0, 0), (broken, True, 0, 0))
        _, held = await balancer.ask(GET)
        while balancer.states()[1].is_up:
            await ask(balancer)
        assert balancer.states() == ((well, True, 1, 0), (broken, False, 0, EJECT_AFTER))
        held.close()
        clock.now += FIRST_EJECTION_S
        assert balancer.states() == ((well, True, 0, 0), (broken, True, 0, EJECT_AFTER))
