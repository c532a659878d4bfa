"""Records that are sorted in bounded memory."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.maintenance.gc.records import RecordSorter

RECORDS = st.lists(st.binary(min_size=3, max_size=3), max_size=60)


@given(RECORDS, st.integers(1, 70))
def test_any_length_of_runs_gives_each_record_once_in_order(records: list[bytes], run: int) -> None:
    sorter = RecordSorter(3, run=run)
    for record in records:
        sorter.add(record)
    found = sorter.finish()
    assert list(found) == sorted(set(records))
    assert list(found) == sorted(set(records))  # again
    assert len(found) == len(set(records))
    found.close()


@given(RECORDS, st.integers(1, 70))
def test_several_iterators_at_once_each_give_all(records: list[bytes], run: int) -> None:
    sorter = RecordSorter(3, run=run)
    for record in records:
        sorter.add(record)
    found = sorter.finish()
    assert list(zip(found, found, strict=True)) == [(record, record) for record in sorted(set(records))]
    found.close()


def test_few_records_need_no_file(tmp_path: Path) -> None:
    sorter = RecordSorter(2, tmp_path / "missing")
    sorter.add(b"bb")
    sorter.add(b"aa")
    assert not sorter.is_spilled
    assert list(sorter.finish()) == [b"aa", b"bb"]


def test_nothing_is_left_in_the_folder_even_while_records_are_sorted(tmp_path: Path) -> None:
    sorter = RecordSorter(2, tmp_path, run=2)
    for record in (b"dd", b"cc", b"bb", b"aa", b"ee"):
        sorter.add(record)
    assert sorter.is_spilled
    found = sorter.finish()
    assert list(tmp_path.iterdir()) == []
    assert list(found) == [b"aa", b"bb", b"cc", b"dd", b"ee"]
    found.close()


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    sorter = RecordSorter(2, tmp_path / "missing", run=1)
    with pytest.raises(FileNotFoundError):
        sorter.add(b"aa")
