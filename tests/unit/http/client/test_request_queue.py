"""Places for requests in flight, and the share of them that each caller has."""

import asyncio

import pytest

from authproxy import asgi, budget
from authproxy.access import Grant
from authproxy.client_view import ClientView
from authproxy.errors import RegistryError, TooManyRequests
from authproxy.http.client.request_queue import Caller, CallerQueues, RequestQueue
from authproxy.http.client.slow_clients import Transfer

AT_ONCE_S = 0.01
ALICE, BOB = Caller("alice"), Caller("bob")


def transfer() -> Transfer:
    return Transfer(lambda _: None, lambda: 0.0)


async def enters(queues: CallerQueues, caller: Caller) -> bool:
    try:
        await queues.enter(caller, transfer(), AT_ONCE_S)
    except TooManyRequests as refused:
        assert refused.status == 429
        assert ("Retry-After", str(budget.RETRY_AFTER_S)) in refused.headers
        return False
    return True


async def test_one_caller_takes_a_part_and_leaves_the_rest_to_others() -> None:
    queues = CallerQueues(12)
    assert [await enters(queues, ALICE) for _ in range(4)] == [True] * 3 + [False]
    assert [await enters(queues, BOB) for _ in range(4)] == [True] * 3 + [False]


async def test_who_leaves_makes_room_for_who_waits() -> None:
    queues = CallerQueues(4)
    first = transfer()
    await queues.enter(ALICE, first, AT_ONCE_S)
    waiting = asyncio.create_task(queues.enter(ALICE, transfer(), 20))
    await asyncio.sleep(0)
    assert not waiting.done()
    queues.leave(ALICE, first)
    await waiting


async def test_guests_of_any_number_leave_room_for_those_who_log_in() -> None:
    queues = CallerQueues(8)
    guests = [Caller("", f"192.0.2.{number}", is_guest=True) for number in range(8)]
    assert [await enters(queues, guest) for guest in guests] == [True] * 6 + [False] * 2
    assert await enters(queues, ALICE)


async def test_nothing_is_kept_of_who_has_gone() -> None:
    queues = CallerQueues(4)
    for number in range(20):
        guest, made = Caller("", f"192.0.2.{number}", is_guest=True), transfer()
        await queues.enter(guest, made, AT_ONCE_S)
        queues.leave(guest, made)
    held = transfer()
    await queues.enter(ALICE, held, AT_ONCE_S)
    assert not await enters(queues, ALICE)
    waiting = asyncio.create_task(queues.enter(ALICE, transfer(), 20))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    queues.leave(ALICE, held)
    assert not queues._queues
    assert await enters(queues, ALICE)


async def test_a_stalled_transfer_ends_when_somebody_waits_and_not_before() -> None:
    now = 0.0
    queue = RequestQueue(1)
    ended: list[RegistryError] = []
    stalled = Transfer(ended.append, lambda: now)
    await queue.enter(stalled, AT_ONCE_S)
    stalled.wait()
    now = 1000.0
    await asyncio.sleep(0)
    assert not ended
    waiting = asyncio.create_task(queue.enter(transfer(), 20))
    await asyncio.sleep(0)
    assert [error.status for error in ended] == [408]
    queue.leave(stalled)
    await waiting


CALLERS = [
    (Grant("alice"), "192.0.2.1", ALICE),
    (Grant(""), "192.0.2.1", Caller("", "192.0.2.1", is_guest=True)),
    (Grant(""), "2001:db8::1:2:3:4", Caller("", "2001:db8::/64", is_guest=True)),
    (None, "192.0.2.1", Caller("", "192.0.2.1")),
]


@pytest.mark.parametrize(("grant", "client", "caller"), CALLERS)
def test_whose_share_it_is(grant: Grant | None, client: str, caller: Caller) -> None:
    scope = {asgi.CLIENT_VIEW: ClientView("https", "a", client)} | ({} if grant is None else {asgi.GRANT: grant})
    assert Caller.of(scope) == caller
