"""How far behind a client is, and who of several is ended."""

import pytest

from authproxy import budget
from authproxy.http.client.request_queue import choose_stalled
from authproxy.http.client.slow_clients import Transfer

PIECE = 256 * 1024


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def transfer(clock: Clock) -> Transfer:
    return Transfer(lambda _: None, clock)


def take(made: Transfer, clock: Clock, piece: int, seconds: float) -> None:
    """A client that takes so long for a piece."""
    made.wait()
    clock.now += seconds
    made.go_on(piece)


def test_who_takes_nothing_is_behind_for_as_long() -> None:
    clock = Clock()
    made = transfer(clock)
    made.wait()
    clock.now += 30
    assert made.stalled_s() == 30


def test_what_was_taken_quickly_before_is_no_credit() -> None:
    clock = Clock()
    made = transfer(clock)
    for _ in range(1000):
        take(made, clock, PIECE, 0.001)
    made.wait()
    clock.now += 21
    assert made.stalled_s() > budget.MAY_STALL_FOR_S


def test_a_byte_now_and_then_does_not_help() -> None:
    clock = Clock()
    made = transfer(clock)
    for _ in range(30):
        take(made, clock, 1, 1)
    made.wait()
    assert made.stalled_s() == pytest.approx(30, abs=0.1)


def test_a_slow_line_is_not_behind() -> None:
    clock = Clock()
    made = transfer(clock)
    for _ in range(20):
        made.wait()
        clock.now += 15
        assert made.stalled_s() < budget.MAY_STALL_FOR_S
        made.go_on(PIECE)


def test_the_upstreams_time_does_not_count() -> None:
    clock = Clock()
    made = transfer(clock)
    take(made, clock, PIECE, 1)
    clock.now += 900
    assert made.stalled_s() == 0
    made.wait()
    assert made.stalled_s() == 0


def test_the_furthest_behind_ends_first_and_once() -> None:
    clock = Clock()
    told: list[int] = []
    transfers = [Transfer(lambda error: told.append(error.status), clock) for _ in range(4)]
    for made in transfers[:3]:
        made.wait()
        clock.now += 15
    assert choose_stalled(transfers, 5) == transfers[:2]
    assert choose_stalled(transfers, 1) == transfers[:1]
    transfers[0].end()
    assert choose_stalled(transfers, 5) == transfers[1:2]
    assert told == [408]
