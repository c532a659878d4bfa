"""The look at the clock: whether ages can be trusted."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from authproxy.maintenance.retention.steady_clock import judge_clock

THEN = datetime(2030, 1, 1, tzinfo=UTC)
BEFORE = {"looked": THEN.isoformat(), "steady_since": "2029-12-01T00:00:00+00:00", "boot": "a", "uptime_s": 1000.0}


class Row(NamedTuple):
    what: str
    elapsed: timedelta
    passed: timedelta
    boot: str | None
    why: str  # empty: still steady


ROWS = [
    Row("as it should be", timedelta(days=1), timedelta(days=1), "a", ""),
    Row("long ago, and it has run since", timedelta(days=99), timedelta(days=99), "a", ""),
    Row("corrected a little", timedelta(days=1, minutes=9), timedelta(days=1), "a", ""),
    Row("set ahead", timedelta(days=2), timedelta(days=1), "a", "the clock was set since 2030-01-01T00:00:00Z"),
    Row("set back a little", timedelta(hours=1), timedelta(days=1), "a", "the clock was set since"),
    Row("set back", timedelta(days=-1), timedelta(days=1), "a", "the clock is behind the last look"),
    Row("after a boot", timedelta(days=1), timedelta(), "b", ""),
    Row("on a machine without the id of a boot", timedelta(days=1), timedelta(), None, ""),
    Row(
        "after a long time without a look",
        timedelta(days=4),
        timedelta(),
        "b",
        "the last look at the clock was long ago",
    ),
    Row("behind, on another machine", timedelta(hours=-1), timedelta(), "b", "the clock is behind the last look"),
]


@pytest.mark.parametrize("row", ROWS, ids=[row.what for row in ROWS])
def test_a_step_begins_the_time_again(row: Row) -> None:
    now = THEN + row.elapsed
    look = judge_clock(BEFORE, now, uptime=1000.0 + row.passed.total_seconds(), boot=row.boot)
    assert look.is_steady is not bool(row.why)
    assert look.why.startswith(row.why)
    assert look.steady_since == (now if row.why else datetime(2029, 12, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "last", [{}, {"looked": "x"}, {**BEFORE, "looked": 3}, {**BEFORE, "looked": "2030-01-01T00:00:00"}]
)
def test_the_first_look_is_not_steady(last: dict[str, object]) -> None:
    assert not judge_clock(last, THEN, uptime=1.0, boot="a").is_steady
