"""Audit lines in a file: rotated with the chain carried on, one writer a file, nothing torn."""

import errno
import os
import stat
from pathlib import Path

import pytest

from authproxy.audit.chain import Line, Link, parse_line, seal
from authproxy.audit.file import FileSink, check_place, list_files
from authproxy.audit.sink import SinkFailed
from authproxy.errors import StartError

LARGE = 1_000_000


def chain(count: int, last: Link | None = None) -> list[bytes]:
    link, lines = last or Link("w"), []
    for _ in range(count):
        raw, link = seal({"user": "alice"}, link)
        lines.append(raw)
    return lines


def opened(path: Path, *, max_bytes: int = LARGE, keep: int = 3) -> tuple[FileSink, Link | None]:
    sink = FileSink(path, max_bytes=max_bytes, keep=keep)
    return sink, sink.open()


def write_all(sink: FileSink, lines: list[bytes]) -> None:
    while lines:
        lines = lines[sink.write(lines) :]


def read(path: Path) -> list[Line]:
    return [parse_line(raw) for raw in path.read_bytes().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


def test_lines_are_appended_in_a_file_for_its_owner_alone(path: Path) -> None:
    sink, end = opened(path)
    write_all(sink, lines := chain(3))
    sink.close()
    assert (end, path.read_bytes()) == (None, b"".join(lines))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_root_makes_is_given_to_the_owner_of_the_folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda _, user, group: given.append((user, group)))
    sink, _ = opened(path)
    sink.close()
    folder = path.parent.stat()
    assert given == [(folder.st_uid, folder.st_gid)] * 2  # the lock and the file


def test_the_chain_goes_on_where_the_file_ends(path: Path) -> None:
    sink, _ = opened(path)
    write_all(sink, chain(3))
    sink.close()
    sink, end = opened(path)
    assert end == read(path)[-1].link
    write_all(sink, chain(1, end))
    sink.close()
    assert [line.link.sequence for line in read(path)] == [1, 2, 3, 4]


def test_a_line_longer_than_a_piece_of_the_end_is_found(path: Path) -> None:
    sink, _ = opened(path)
    raw, link = seal({"user": "x" * 200_000}, Link("w"))
    write_all(sink, [*chain(2), raw])
    sink.close()
    assert opened(path)[1] == link


def test_a_full_file_is_rotated_and_the_oldest_goes(path: Path) -> None:
    lines = chain(10)
    sink, _ = opened(path, max_bytes=len(lines[0]) * 2 + 10, keep=3)
    write_all(sink, lines)
    sink.close()
    assert [file.name for file in list_files(path)] == ["audit.log.3", "audit.log.2", "audit.log.1", "audit.log"]
    sequences = [[line.link.sequence for line in read(file)] for file in list_files(path)]
    assert sequences == [[3, 4], [5, 6], [7, 8], [9, 10]]
    assert read(path)[0].previous == read(path.with_name("audit.log.1"))[-1].link.hash


def test_the_chain_goes_on_behind_a_rotation_that_nothing_followed(path: Path) -> None:
    sink, _ = opened(path)
    write_all(sink, chain(2))
    sink.close()
    path.rename(path.with_name("audit.log.1"))
    assert opened(path)[1] == read(path.with_name("audit.log.1"))[-1].link


def test_a_line_longer_than_a_file_may_be_has_one_of_its_own(path: Path) -> None:
    sink, _ = opened(path, max_bytes=10)
    write_all(sink, chain(3))
    sink.close()
    assert [len(read(file)) for file in list_files(path)] == [1, 1, 1]


def test_a_second_writer_has_a_file_of_its_own_and_a_third_one_finds_the_first_free(path: Path) -> None:
    first, _ = opened(path)
    second, _ = opened(path)
    write_all(first, chain(1, Link("one")))
    write_all(second, chain(1, Link("two")))
    assert [file.name for file in list_files(path)] == ["audit.log", "audit-2.log"]
    first.close()
    third, end = opened(path)
    assert end is not None
    assert end.writer == "one"
    second.close()
    third.close()


def test_other_files_are_none_of_the_log(path: Path) -> None:
    sink, _ = opened(path)
    sink.close()
    for name in ("audit.log.gz", "audit-x.log", "audit.log.1.old", "other.log"):
        path.with_name(name).touch()
    assert list_files(path) == [path]


def test_a_torn_line_is_cut_off(path: Path) -> None:
    lines = chain(3)
    path.write_bytes(b"".join(lines)[:-20])
    sink, end = opened(path)
    sink.close()
    assert path.read_bytes() == b"".join(lines[:2])
    assert end == read(path)[-1].link


def test_behind_a_spoilt_line_a_new_chain_begins(path: Path) -> None:
    path.write_bytes(b"spoilt\n")
    sink, end = opened(path)
    sink.close()
    assert (end, path.read_bytes()) == (None, b"spoilt\n")


@pytest.mark.parametrize("is_removed", [True, False], ids=["removed", "moved"])
def test_a_file_that_somebody_took_away_is_made_anew(path: Path, *, is_removed: bool) -> None:
    sink, _ = opened(path)
    first, second = chain(2)
    write_all(sink, [first])
    if is_removed:
        path.unlink()
    else:
        path.rename(path.with_name("taken"))
        path.touch()
    write_all(sink, [second])
    sink.close()
    assert path.read_bytes() == second


def test_what_a_full_disk_cut_off_is_taken_away_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink, _ = opened(path)
    write_all(sink, chain(1))
    before, write, calls = path.read_bytes(), os.write, []

    def write_half(handle: int, data: memoryview) -> int:
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, data[:10])

    monkeypatch.setattr(os, "write", write_half)
    with pytest.raises(SinkFailed, match=r"audit\.log: No space left on device"):
        sink.write(chain(2))
    monkeypatch.undo()
    assert path.read_bytes() == before
    write_all(sink, chain(1))
    sink.close()


def test_a_folder_that_is_gone_is_a_failure_that_may_pass(path: Path) -> None:
    sink = FileSink(path.parent / "later" / "audit.log", max_bytes=LARGE, keep=1)
    with pytest.raises(SinkFailed, match="No such file or directory"):
        sink.open()
    (path.parent / "later").mkdir()
    assert sink.open() is None
    sink.close()


def test_a_place_where_no_file_can_be_is_told_before_the_start(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_place(path)
    with pytest.raises(StartError, match="does not exist; create it"):
        check_place(path / "deeper" / "audit.log")
    with pytest.raises(StartError, match="is a folder; name a file"):
        check_place(path.parent)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StartError, match="nothing can be created in"):
        check_place(path)
