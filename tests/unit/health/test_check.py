"""What answers in a row come to."""

from datetime import timedelta

import pytest

from authproxy.health.check import Check, CheckState


async def nothing() -> None:
    """A probe that finds all well."""


def state_after(*answers: str | None) -> CheckState:
    state = CheckState()
    for answer in answers:
        state = state.after(answer)
    return state


@pytest.mark.parametrize(
    ("threshold", "answers", "is_failing"),
    [
        (1, [], False),
        (1, ["no"], True),
        (1, ["no", None], False),
        (0, [None], False),  # as in CNCF Distribution: not given
        (0, ["no"], True),
        (3, ["no", "no"], False),
        (3, ["no", "no", "no"], True),
        (3, ["no", "no", "no", "no"], True),
        (3, ["no", "no", None, "no", "no"], False),
        (3, ["no", "no", "no", None], False),
    ],
)
def test_failures_in_a_row_count(threshold: int, answers: list[str | None], is_failing: bool) -> None:  # noqa: FBT001 - a row
    assert Check("c", nothing, threshold=threshold).is_failing(state_after(*answers)) is is_failing


def test_the_last_reason_is_the_one_that_is_told() -> None:
    assert state_after("first", "second").reason == "second"


def test_nothing_stands_for_the_default() -> None:
    check = Check("c", nothing, interval=timedelta(), timeout=timedelta())
    assert (check.interval_s, check.timeout_s) == (10, 10)
