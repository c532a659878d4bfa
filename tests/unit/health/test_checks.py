"""The checks of a process, running; the gate that asks them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import httpx
from structlog.testing import capture_logs

from authproxy.asgi import Receive, Scope, Send, respond
from authproxy.edge.errors import ErrorResponses
from authproxy.health.check import Check, CheckFailed
from authproxy.health.checks import Checks
from authproxy.health.gate import HealthGate

QUICK = timedelta(milliseconds=1)
WITHIN_S = 30.0


class Patient:
    """A probe whose answers a test chooses."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self) -> None:
        self.asked += 1
        await self.may_answer.wait()
        if self.failure is not None:
            raise self.failure


@asynccontextmanager
async def running(*checks: Check) -> AsyncIterator[Checks]:
    health = Checks(checks)
    task = asyncio.create_task(health.run())
    try:
        yield health
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event: it is what anybody may read
            await asyncio.sleep(0.001)


async def test_what_fails_is_known_with_its_reason_until_it_is_well_again() -> None:
    ill, well = Patient(CheckFailed("it hurts")), Patient()
    async with running(Check("ill", ill, interval=QUICK), Check("well", well, interval=QUICK)) as health:
        await until(lambda: bool(health.failing))
        assert health.failing == {"ill": "it hurts"}
        assert health.results() == {("ill",): 0, ("well",): 1}
        ill.failure = CheckFailed("it hurts more")
        await until(lambda: health.failing == {"ill": "it hurts more"})
        ill.failure = None
        await until(lambda: not health.failing)


async def test_nothing_fails_before_the_threshold() -> None:
    failing_before: list[bool] = []

    async def ill() -> None:
        failing_before.append(bool(health.failing))
        raise CheckFailed("no")

    async with running(Check("ill", ill, interval=QUICK, threshold=3)) as health:
        await until(lambda: len(failing_before) > 3)
    assert failing_before[:4] == [False, False, False, True]


async def test_the_first_look_is_taken_at_once() -> None:
    async with running(Check("ill", Patient(CheckFailed("no")), interval=timedelta(hours=1))) as health:
        await until(lambda: bool(health.failing))


async def test_a_probe_that_hangs_fails_and_is_not_asked_a_second_time() -> None:
    stuck = Patient()
    stuck.may_answer.clear()
    async with running(Check("stuck", stuck, interval=QUICK, timeout=QUICK, threshold=4)) as health:
        await until(lambda: bool(health.failing))
        assert (health.failing, stuck.asked) == ({"stuck": "no result within 0.001 s"}, 1)
        stuck.may_answer.set()
        await until(lambda: not health.failing)


async def test_a_probe_that_breaks_is_no_sign_of_health_and_is_asked_again() -> None:
    broken = Patient(ZeroDivisionError("SECRET"))
    with capture_logs() as logs:
        async with running(Check("broken", broken, interval=QUICK)) as health:
            await until(lambda: broken.asked > 1)
            assert health.failing == {"broken": "the check itself failed: ZeroDivisionError"}
    assert logs[0]["event"] == "health check broke"


async def test_the_end_leaves_no_probe_behind() -> None:
    stuck = Patient()
    stuck.may_answer.clear()
    async with running(Check("stuck", stuck, interval=QUICK)):
        await until(lambda: stuck.asked == 1)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_two_checks_of_one_name_are_told_apart() -> None:
    twins = [Check("http://a/", Patient(failure), interval=QUICK) for failure in (None, CheckFailed("no"))]
    async with running(*twins) as health:
        await until(lambda: bool(health.failing))
        assert (health.names, health.failing) == (("http://a/", "http://a/ (2)"), {"http://a/ (2)": "no"})


def test_no_checks_are_nothing_to_run() -> None:
    assert not Checks([])
    assert Checks([Check("a", Patient())]).names == ("a",)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 200, [], b"hello")


class FakeHealth:
    """Health as a test says."""

    def __init__(self) -> None:
        self.failing: dict[str, str] = {}


async def test_the_gate_answers_503_while_anything_fails() -> None:
    health = FakeHealth()
    transport = httpx.ASGITransport(ErrorResponses(HealthGate(hello, health)))
    async with httpx.AsyncClient(transport=transport, base_url="https://registry") as client:
        assert (await client.get("/v2/")).text == "hello"
        health.failing = {"/etc/down": "SECRET"}
        answer = await client.get("/v2/")
        assert (answer.status_code, answer.json()) == (
            503,
            {
                "errors": [
                    {
                        "code": "UNAVAILABLE",
                        "message": "service unavailable",
                        "detail": "health check failed: please see /debug/health",
                    }
                ]
            },
        )
        health.failing = {}
        assert (await client.get("/v2/")).text == "hello"
