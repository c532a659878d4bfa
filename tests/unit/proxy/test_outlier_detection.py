"""Which address is asked: a table, and what failures make of one."""

from operator import attrgetter
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.proxy.outlier_detection import EJECT_AFTER, FIRST_EJECTION_S, LAST_EJECTION_S, AddressHealth, choose

NOW = 1000.0
WELL = AddressHealth()
OUT = AddressHealth(ejections=1, ejected_until=NOW + 5)
LONG_OUT = AddressHealth(ejections=4, ejected_until=NOW + 50)
BACK = AddressHealth(ejections=1, ejected_until=NOW)
ILL = AddressHealth(is_well=False)


class Choice(NamedTuple):
    what: str
    health: list[AddressHealth]
    in_flight: list[int]
    chosen: int | None
    tried: frozenset[int] = frozenset()


CHOICES = [
    Choice("the only one", [WELL], [9], 0),
    Choice("the first of equals", [WELL, WELL], [1, 1], 0),
    Choice("the one with the fewest requests", [WELL, WELL, WELL], [3, 1, 2], 1),
    Choice("one that is left out only where there is no other", [OUT, WELL], [0, 300], 1),
    Choice("one that is not well only where there is no other", [ILL, WELL], [0, 300], 1),
    Choice("one that has been left out long enough", [BACK, WELL], [0, 1], 0),
    Choice("the first to come back where all are out", [LONG_OUT, OUT], [0, 1], 1),
    Choice("one that is left out before one that is not well", [ILL, LONG_OUT], [0, 1], 1),
    Choice("never the same twice", [WELL, WELL], [0, 9], 1, frozenset({0})),
    Choice("none where all have been tried", [WELL, OUT], [0, 0], None, frozenset({0, 1})),
]


@pytest.mark.parametrize("row", CHOICES, ids=attrgetter("what"))
def test_choice(row: Choice) -> None:
    assert choose(row.health, row.in_flight, NOW, row.tried) == row.chosen


def fail(health: AddressHealth, times: int, now: float = NOW) -> AddressHealth:
    for _ in range(times):
        health = health.after_failure(now)
    return health


def test_few_failures_leave_nobody_out() -> None:
    assert not fail(WELL, EJECT_AFTER - 1).is_out(NOW)
    assert fail(WELL, EJECT_AFTER).is_out(NOW)


def test_success_between_failures_counts() -> None:
    assert not fail(fail(WELL, EJECT_AFTER - 1).after_success(), EJECT_AFTER - 1).is_out(NOW)


def test_requests_that_were_under_way_do_not_lengthen_it() -> None:
    assert fail(WELL, 50).ejected_until == fail(WELL, EJECT_AFTER).ejected_until == NOW + FIRST_EJECTION_S


def test_each_return_that_fails_doubles_it_up_to_a_bound() -> None:
    health, now, lengths = fail(WELL, EJECT_AFTER), NOW, []
    for _ in range(7):
        lengths.append(health.ejected_until - now)
        now = health.ejected_until
        assert not health.is_out(now)
        health = health.after_failure(now)
    assert lengths == [10, 20, 40, 80, 160, 300, LAST_EJECTION_S]


def test_return_that_goes_well_forgets_everything() -> None:
    assert fail(WELL, EJECT_AFTER).after_success() == WELL


def test_request_that_goes_well_does_not_overrule_health_checks() -> None:
    assert AddressHealth(failures=1, is_well=False).after_success().is_out(NOW)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1000)), max_size=50))
def test_nobody_is_left_out_for_longer_than_the_bound(steps: list[float | None]) -> None:
    health, now = WELL, NOW
    for step in steps:
        health = health.after_success() if step is None else health.after_failure(now := now + step)
        assert health.ejected_until - now <= LAST_EJECTION_S
