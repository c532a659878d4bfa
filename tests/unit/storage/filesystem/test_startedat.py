"""The files that say when sessions began."""

import os
from pathlib import Path

import pytest

from authproxy.storage.filesystem.startedat import Beginnings

ONE, TWO = "2024-01-02T03:04:05Z", "2024-01-02T03:04:06Z"


@pytest.fixture
def beginnings(tmp_path: Path) -> Beginnings:
    return Beginnings(f"{tmp_path}/newest")


def write(beginnings: Beginnings, path: Path, text: str) -> int:
    """The number of the file that has come into being."""
    beginnings.write(str(path), text)
    assert path.read_text() == text
    return path.stat().st_ino


def test_sessions_of_the_same_second_share_a_file(beginnings: Beginnings, tmp_path: Path) -> None:
    other = Beginnings(f"{tmp_path}/newest")  # another process
    assert write(beginnings, tmp_path / "a", ONE) == write(beginnings, tmp_path / "b", ONE)
    assert write(other, tmp_path / "c", ONE) == write(other, tmp_path / "d", ONE) == (tmp_path / "a").stat().st_ino


def test_the_next_second_has_a_file_of_its_own(beginnings: Beginnings, tmp_path: Path) -> None:
    first = write(beginnings, tmp_path / "a", ONE)
    second = write(beginnings, tmp_path / "b", TWO)
    assert first != second == write(beginnings, tmp_path / "c", TWO)
    assert (tmp_path / "a").read_text() == ONE


@pytest.mark.parametrize("newest", [b"", b"\xff", ONE.encode() + b"more"], ids=["empty", "no text", "longer"])
def test_what_a_power_cut_left_is_replaced(beginnings: Beginnings, tmp_path: Path, newest: bytes) -> None:
    (tmp_path / "newest").write_bytes(newest)
    assert write(beginnings, tmp_path / "a", ONE) == write(beginnings, tmp_path / "b", ONE)


def test_where_there_are_no_hard_links_each_has_its_own(
    beginnings: Beginnings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(path: str, target: str) -> None:
        raise PermissionError(path, target)

    write(beginnings, tmp_path / "a", ONE)
    monkeypatch.setattr(os, "link", link)
    assert write(beginnings, tmp_path / "b", ONE) != write(beginnings, tmp_path / "c", ONE)


def test_nothing_that_is_there_is_written_over(beginnings: Beginnings, tmp_path: Path) -> None:
    write(beginnings, tmp_path / "a", ONE)
    for text in (ONE, TWO):
        with pytest.raises(FileExistsError):
            beginnings.write(str(tmp_path / "a"), text)
    assert (tmp_path / "a").read_text() == ONE
