"""Alarms: one line a minute for each fault."""

import pytest
from structlog.testing import capture_logs

from authproxy.log.alarms import EVERY_S, MAX_FAULTS, Alarms
from tests.support.tokens import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(0)


def test_a_fault_is_told_once_a_minute_with_how_often_it_came(clock: FakeClock) -> None:
    alarms = Alarms(clock)
    with capture_logs() as logs:
        for second in range(int(EVERY_S) + 1):
            clock.now = second
            alarms.sound("storage failed", reason="No space left on device", path=f"/data/{second}")
    assert [(line["log_level"], line["path"], line.get("repeated")) for line in logs] == [
        ("error", "/data/0", None),
        ("error", "/data/60", 59),
    ]


def test_another_reason_is_another_fault(clock: FakeClock) -> None:
    alarms = Alarms(clock)
    with capture_logs() as logs:
        for reason in ("a", "b", "a", "b"):
            alarms.sound("storage failed", reason=reason)
    assert [line["reason"] for line in logs] == ["a", "b"]


def test_reasons_that_clients_invent_take_no_more_than_so_much_memory(clock: FakeClock) -> None:
    alarms = Alarms(clock)
    with capture_logs():
        for number in range(2 * MAX_FAULTS):
            alarms.sound("storage failed", reason=str(number))
    assert len(alarms._logged) == MAX_FAULTS
