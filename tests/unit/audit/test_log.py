"""The audit log of a process: takes at once, writes in its own time, and says what it could not keep."""

import errno
import itertools
import json
import os
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from authproxy.audit import log as module
from authproxy.audit.chain import Link, parse_line
from authproxy.audit.event import Event, EventKind
from authproxy.audit.log import AuditLog, rfc3339
from authproxy.audit.sink import LinesRefused, MemorySink, SinkFailed
from authproxy.principal import Principal

NOW = 1_767_323_045.678901
ISSUED = Event(EventKind.TOKEN_ISSUED, Principal("alice"))


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is gathered for longer than it takes, and a second try comes at once."""
    monkeypatch.setattr(module, "GATHER_S", 0.0)
    monkeypatch.setattr(module, "RETRY_S", 0.001)


class FailingSink(MemorySink):
    """Fails and says `tried`, until it is told `may_go_on`."""

    def __init__(self, failure: Exception) -> None:
        super().__init__()
        self.failure = failure
        self.tried = threading.Event()
        self.may_go_on = threading.Event()

    def write(self, lines: Sequence[bytes]) -> int:
        if not self.may_go_on.is_set():
            self.tried.set()
            raise self.failure
        return super().write(lines)


class BlockedSink(MemorySink):
    """Stands still in its first write until it may go on, and takes one line at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.is_writing = threading.Event()
        self.may_go_on = threading.Event()

    def write(self, lines: Sequence[bytes]) -> int:
        self.is_writing.set()
        assert self.may_go_on.wait(10)
        return super().write(lines[:1])


def fields_of(sink: MemorySink) -> list[dict[str, Any]]:
    return [dict(parse_line(raw).fields) for raw in sink.lines]


def test_events_become_a_chain_with_the_time_at_which_they_came() -> None:
    sink = MemorySink()
    audit = AuditLog(sink, now=itertools.count(NOW).__next__)
    audit.record(ISSUED)
    audit.record(ISSUED)
    audit.close()
    assert fields_of(sink) == [
        {"time": "2026-01-02T03:04:05.678901Z", "kind": "token issued", "user": "alice"},
        {"time": "2026-01-02T03:04:06.678901Z", "kind": "token issued", "user": "alice"},
    ]
    first, second = map(parse_line, sink.lines)
    assert (first.link.sequence, second.link.sequence, second.previous) == (1, 2, first.link.hash)
    assert (audit.written, audit.lost, sink.is_closed) == (2, 0, True)


def test_a_chain_goes_on_where_the_sink_says_that_it_ends() -> None:
    sink = MemorySink(Link("earlier", 41, "f" * 64))
    audit = AuditLog(sink)
    audit.record(ISSUED)
    audit.close()
    line = parse_line(sink.lines[0])
    assert (line.link.writer, line.link.sequence, line.previous) == ("earlier", 42, "f" * 64)


def test_nothing_runs_before_the_first_event() -> None:
    before = threading.active_count()
    audit = AuditLog(MemorySink())
    assert threading.active_count() == before
    audit.close()


def test_recording_never_waits_for_a_sink_and_what_finds_no_place_is_counted_and_told() -> None:
    sink = BlockedSink()
    audit = AuditLog(sink, max_waiting=2)
    audit.record(ISSUED)
    assert sink.is_writing.wait(10)  # the first is on its way; two more may wait
    for _ in range(5):
        audit.record(ISSUED)
    assert audit.lost == 3
    sink.may_go_on.set()
    audit.close()
    assert [fields["kind"] for fields in fields_of(sink)] == [
        "token issued",
        "lines lost",
        "token issued",
        "token issued",
    ]
    assert fields_of(sink)[1]["reason"] == "3 lines before this one were lost"
    assert (audit.written, audit.lost) == (4, 3)


def test_a_sink_that_fails_is_told_once_and_tried_again_with_the_same_bytes(capfd: pytest.CaptureFixture[str]) -> None:
    sink = FailingSink(SinkFailed("the disk is full"))
    audit = AuditLog(sink)
    audit.record(ISSUED)
    assert sink.tried.wait(10)
    sink.tried.clear()
    assert sink.tried.wait(10)
    sink.may_go_on.set()
    audit.close()
    assert (audit.written, audit.lost, len(sink.lines)) == (1, 0, 1)
    captured = capfd.readouterr()
    assert (captured.out + captured.err).count("the disk is full") == 1
    assert "written again" in captured.out + captured.err


def test_a_fault_of_the_sink_itself_ends_nothing() -> None:
    sink = FailingSink(ZeroDivisionError())
    audit = AuditLog(sink)
    audit.record(ISSUED)
    assert sink.tried.wait(10)
    sink.may_go_on.set()
    audit.close()
    assert audit.written == 1


def test_a_log_that_fails_with_the_sink_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both may be on one full disk."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.log, "error", fail)
    monkeypatch.setattr(module.log, "warning", fail)
    sink = FailingSink(SinkFailed("full"))
    audit = AuditLog(sink)
    for _ in range(3):
        audit.record(ISSUED)
    assert sink.tried.wait(10)
    sink.may_go_on.set()
    audit.close()
    assert (audit.written, audit.lost) == (3, 0)


def test_lines_that_are_refused_for_good_are_lost_and_those_behind_them_are_not() -> None:
    class Choosy(MemorySink):
        def write(self, lines: Sequence[bytes]) -> int:
            if b"mallory" in lines[0]:
                raise LinesRefused("too long", 1)
            return super().write(lines[:1])

    sink = Choosy()
    audit = AuditLog(sink)
    audit.record(Event(EventKind.TOKEN_ISSUED, Principal("mallory")))
    audit.record(ISSUED)
    audit.close()
    assert [fields["user"] for fields in fields_of(sink)] == ["alice"]
    assert (audit.written, audit.lost) == (1, 1)


def test_an_event_without_a_line_is_lost_and_those_behind_it_are_not() -> None:
    circle: dict[str, Any] = {}
    circle["circle"] = circle
    sink = MemorySink()
    audit = AuditLog(sink)
    audit.record(Event(EventKind.TOKEN_ISSUED, Principal("odd", claims=circle)))
    audit.record(ISSUED)
    audit.close()
    assert [fields["user"] for fields in fields_of(sink)] == ["alice"]
    assert audit.lost == 1


def test_the_end_does_not_wait_for_a_sink_that_never_takes_anything() -> None:
    sink = FailingSink(SinkFailed("nobody there"))
    audit = AuditLog(sink)
    audit.record(ISSUED)
    audit.close()
    assert (audit.written, audit.lost, sink.is_closed) == (0, 1, True)


def test_what_is_recorded_after_the_end_is_counted_as_lost() -> None:
    audit = AuditLog(MemorySink())
    audit.close()
    audit.record(ISSUED)
    assert audit.lost == 1


def test_a_time_is_rfc_3339_with_microseconds() -> None:
    assert rfc3339(0.0) == "1970-01-01T00:00:00.000000Z"


def test_no_line_holds_what_a_principal_keeps_to_itself() -> None:
    sink = MemorySink()
    audit = AuditLog(sink)
    audit.record(
        Event(EventKind.LOGIN_REFUSED, Principal("alice", stamp="hunter2"), reason="incorrect username or password")
    )
    audit.close()
    assert "hunter2" not in json.dumps(fields_of(sink))
