"""Files that change under a running server."""

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Semaphore
from typing import ClassVar

import pytest
from structlog.testing import capture_logs

from authproxy.files.reload import DoesNotLoad
from authproxy.files.watcher import MAX_AGE_S, Watch
from tests.support.tokens import FakeClock


class Part:
    """Something that is read again."""

    part: ClassVar = "users"
    takes_access_away: ClassVar = True

    def __init__(self, fault: BaseException | None = None) -> None:
        self.fault = fault
        self.looks = Semaphore(0)

    def refresh(self) -> None:
        self.looks.release()
        if self.fault:
            raise self.fault

    def await_looks(self, count: int = 2) -> None:
        """So many whole looks, counted from now: the first of them may have begun before."""
        for _ in range(count):
            assert self.looks.acquire(timeout=10)


class Harmless(Part):
    part: ClassVar = "certificate"
    takes_access_away: ClassVar = False


class EndsItsThreadOnce(Part):
    def refresh(self) -> None:
        fault, self.has_ended = None if self.has_ended else SystemExit(), True
        self.looks.release()
        if fault is not None:
            raise fault

    has_ended = False


@contextmanager
def watching(*parts: Part, clock: FakeClock, every_s: float = 0.001) -> Iterator[Watch]:
    watch = Watch(now=clock, every_s=every_s)
    watch.start(parts)
    try:
        yield watch
    finally:
        watch.stop()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1000)


def drain(part: Part) -> None:
    """Forget the looks until now, and wait for whole ones after."""
    while part.looks.acquire(blocking=False):
        pass
    part.await_looks()


FAULTS = {"fine": None, "failing": OSError("gone"), "wrong": DoesNotLoad("line 1"), "a bug": ValueError("?")}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_every_part_is_looked_at_again_and_again_whatever_the_others_do(
    fault: Exception | None, clock: FakeClock
) -> None:
    first, second = Part(fault), Part()
    with watching(first, second, clock=clock) as watch:
        first.await_looks(3)
        second.await_looks(3)
        assert set(watch.last_looks()) == {("users",), ("users 2",)}


def test_a_part_that_hangs_holds_up_no_other_and_makes_the_node_blind(clock: FakeClock) -> None:
    hangs, fine, let_go = Part(), Part(), Event()
    hangs.refresh = let_go.wait  # type: ignore[method-assign,assignment]
    with watching(hangs, fine, clock=clock) as watch:
        assert not watch.is_blind()
        clock.now += MAX_AGE_S
        drain(fine)
        assert watch.is_blind()
        assert list(watch.overdue()) == ["users"]
        with capture_logs() as logs:
            watch.look_after()
        assert [(line["log_level"], line["part"], line["reason"]) for line in logs] == [
            ("error", "users", "the look does not end")
        ]
        let_go.set()


@pytest.mark.parametrize("fault", [OSError(errno.EMFILE, "x"), DoesNotLoad("x")], ids=["unreadable", "wrong"])
def test_what_cannot_be_read_makes_blind_and_what_is_wrong_does_not(fault: Exception, clock: FakeClock) -> None:
    part = Part(fault)
    with watching(part, clock=clock) as watch:
        clock.now += MAX_AGE_S - 1
        drain(part)
        assert not watch.is_blind()
        clock.now += 2
        drain(part)
        assert watch.is_blind() == isinstance(fault, OSError)
        part.fault = None
        drain(part)
        assert not watch.is_blind()


def test_what_takes_no_access_away_never_makes_blind_but_is_told_of(clock: FakeClock) -> None:
    part = Harmless(OSError("gone"))
    with watching(part, clock=clock) as watch:
        clock.now += 10 * MAX_AGE_S
        drain(part)
        assert not watch.is_blind()
        assert list(watch.overdue()) == ["certificate"]
        assert watch.failures()["certificate",] >= 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_ended_is_started_again(clock: FakeClock) -> None:
    part = EndsItsThreadOnce()
    with watching(part, clock=clock) as watch:
        part.await_looks(1)
        deadline = time.monotonic() + 10
        with capture_logs() as logs:
            while not logs and time.monotonic() < deadline:
                watch.look_after()
        assert [line["part"] for line in logs] == ["users"]
        part.await_looks(3)


def test_a_machine_that_slept_is_blind_until_it_has_looked(clock: FakeClock) -> None:
    part = Part()
    with watching(part, clock=clock, every_s=0.2) as watch:
        clock.now += 8 * 3600
        assert watch.is_blind()
        drain(part)
        assert not watch.is_blind()


@pytest.mark.parametrize("jump_s", [-86400 * 365, 86400 * 365], ids=["back", "forward"])
def test_a_wall_clock_that_jumps_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, clock: FakeClock, jump_s: float
) -> None:
    part = Part()
    with watching(part, clock=clock) as watch:
        wall = time.time() + jump_s
        monkeypatch.setattr(time, "time", lambda: wall)
        drain(part)
        assert not watch.is_blind()
        clock.now += 7
        assert watch.last_looks()["users",] <= wall
        part.fault = OSError("gone")
        drain(part)
        clock.now += MAX_AGE_S
        assert watch.is_blind()


def test_nothing_is_blind_before_the_start_and_after_the_end(clock: FakeClock) -> None:
    watch = Watch(now=clock)
    clock.now += 10 * MAX_AGE_S
    assert not watch.is_blind()
    watch.start([Part()])
    watch.stop()
    clock.now += 10 * MAX_AGE_S
    assert not watch.is_blind()
