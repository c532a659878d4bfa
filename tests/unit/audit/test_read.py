"""Reading audit files: merged by time, from their end, and while they grow and are rotated."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from authproxy.audit.chain import Link, seal
from authproxy.audit.event import Event, EventKind, to_fields
from authproxy.audit.read import Growing, parse_all, parse_event, read_merged


def line(time: str) -> bytes:
    return seal({"time": time}, Link("w"))[0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "audit.log"
    path.write_bytes(b"1\n2\n3\n")
    return path


@pytest.fixture
def growing(path: Path) -> Iterator[Growing]:
    growing = Growing(path)
    yield growing
    growing.close()


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_files_are_merged_by_time_and_what_is_no_line_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"listening\n" + line("1") + line("4"))
    (tmp_path / "b").write_bytes(line("2") + b"{torn\n" + line("3"))
    assert [entry.time for entry in read_merged([tmp_path / "a", tmp_path / "b"])] == ["1", "2", "3", "4"]


def test_a_line_is_an_event_at_its_time() -> None:
    fields = {"time": "2026-01-02T03:04:05.678901Z", **to_fields(Event(EventKind.ADMIN_CHANGE, reason="a change"))}
    (entry,) = parse_all([seal(fields, Link("w"))[0]])
    assert parse_event(entry) == (1_767_323_045.678901, Event(EventKind.ADMIN_CHANGE, reason="a change"))


@pytest.mark.parametrize("time", ["", "noon", "2026-01-02T03:04:05"])
def test_a_line_without_a_time_is_no_event(time: str) -> None:
    (entry,) = parse_all([seal({"time": time, "kind": "admin change"}, Link("w"))[0]])
    with pytest.raises(ValueError, match=r"\w"):
        parse_event(entry)


@pytest.mark.parametrize(("count", "lines"), [(0, []), (2, [b"2\n", b"3\n"]), (9, [b"1\n", b"2\n", b"3\n"])])
def test_the_last_lines(growing: Growing, count: int, lines: list[bytes]) -> None:
    assert growing.last(count) == lines
    assert growing.more() == []


def test_the_last_lines_of_a_file_larger_than_a_piece(path: Path, growing: Growing) -> None:
    long = [b"%d" % number * 30_000 + b"\n" for number in range(9)]
    append(path, b"".join(long))
    assert growing.last(4) == long[5:]


def test_lines_that_come_are_read_once_they_are_whole(path: Path, growing: Growing) -> None:
    growing.last(1)
    append(path, b"4\n5")
    assert growing.more() == [b"4\n"]
    append(path, b"5\n")
    assert growing.more() == [b"55\n"]


def test_half_a_line_at_the_end_is_completed_later(path: Path, growing: Growing) -> None:
    append(path, b"4")
    assert growing.last(1) == [b"3\n"]
    append(path, b"4\n")
    assert growing.more() == [b"44\n"]


def test_a_rotation_loses_nothing(path: Path, growing: Growing) -> None:
    growing.last(1)
    append(path, b"4\n")
    path.rename(path.with_name("audit.log.1"))
    assert growing.more() == [b"4\n"]  # the new file is not there yet
    append(path.with_name("audit.log.1"), b"5\n")
    path.write_bytes(b"6\n")
    assert growing.more() == [b"5\n", b"6\n"]
    append(path, b"7\n")
    assert growing.more() == [b"7\n"]
