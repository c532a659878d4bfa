"""The pace of a job."""

import asyncio

import pytest

from authproxy.maintenance.gc.pace import MAX_REST_S, TURN, Pace


class Time:
    """A clock that a job's work and rests move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rested: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.rested.append(seconds)
        self.now += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(asyncio, "sleep", time.sleep)
    return time


async def work(time: Time, share: float, *seconds: float) -> list[float]:
    pace = Pace(share, now=time)
    for step in seconds:
        time.now += step
        await pace.rest()
    return time.rested


async def test_a_rest_makes_up_its_share_of_the_time(time: Time) -> None:
    assert await work(time, 0.75, 0.1, 0.2) == pytest.approx([0.3, 0.6])


async def test_without_a_share_others_only_get_a_turn(time: Time) -> None:
    assert await work(time, 0, 0.1, 5) == [0, 0]


async def test_a_long_step_is_not_followed_by_a_long_rest(time: Time) -> None:
    assert await work(time, 0.9, 60) == [MAX_REST_S]


@pytest.mark.parametrize("share", [-0.1, 1, float("nan")])
def test_other_shares_are_refused(share: float) -> None:
    with pytest.raises(ValueError, match="a share of the time from 0 to"):
        Pace(share)


async def test_long_lists_are_worked_off_with_rests(time: Time) -> None:
    assert [each async for each in Pace().each(range(3 * TURN))] == list(range(3 * TURN))
    assert len(time.rested) == 3
