"""Values that are read from files, and read again when the files change."""

import errno
import os
from pathlib import Path
from threading import Event, Thread

import pytest

from authproxy.errors import StartError
from authproxy.files.reload import DoesNotLoad, Reloaded, fingerprint


class Lines(Reloaded[tuple[str, ...]]):
    """The lines of a file; "wrong" is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loads = self.changes = 0
        super().__init__(path)

    def _load(self) -> tuple[str, ...]:
        self.loads += 1
        try:
            with self.path.open() as file:
                lines = tuple(file.read().split())
        except OSError as exc:
            raise StartError(f"users: cannot read {self.path}") from exc
        if "wrong" in lines:
            raise StartError(f"users: {self.path} is wrong")
        return lines

    def _changed(self) -> None:
        self.changes += 1


class Damaged(Lines):
    wrong_counts_as_unread = True


def write(path: Path, text: str) -> None:
    """As our writers do: a new file under the old name."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def test_a_new_file_under_the_old_name_shows_even_with_the_same_size_and_time(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("one")
    before, status = fingerprint(path), path.stat()
    write(path, "two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprint(path) != before


def test_appearing_and_vanishing_show(tmp_path: Path) -> None:
    path = tmp_path / "a"
    without = fingerprint(path)
    path.write_text("x")
    assert fingerprint(path) != without
    path.unlink()
    assert fingerprint(path) == without


def test_a_folder_stands_for_its_matching_files(tmp_path: Path) -> None:
    before = fingerprint(tmp_path, pattern="*.yaml")
    (tmp_path / "a.txt").write_text("x")
    assert fingerprint(tmp_path, pattern="*.yaml") == before
    (tmp_path / "a.yaml").write_text("x")
    assert fingerprint(tmp_path, pattern="*.yaml") != before


def test_a_symlink_swap_shows(tmp_path: Path) -> None:
    """Kubernetes' ConfigMaps: the name stays, what it points to is another folder's file."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a").write_text(folder)
    link = tmp_path / "a"
    link.symlink_to("one/a")
    before = fingerprint(link)
    link.unlink()
    link.symlink_to("two/a")
    assert fingerprint(link) != before


def test_a_file_that_nobody_can_tell_of_is_not_taken_for_a_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("x")

    def fail(path: Path) -> os.stat_result:
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    monkeypatch.setattr(Path, "stat", fail)
    with pytest.raises(OSError, match="Input/output"):
        fingerprint(tmp_path / "a")
    lines = Lines(tmp_path / "a")  # a first look that fails leaves the verdict to the reading, which names the setting
    assert lines.current == ("x",)
    with pytest.raises(OSError, match="Input/output"):
        lines.refresh()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "a", "one")
    return tmp_path / "a"


def test_a_file_is_read_at_once_and_again_only_when_it_changed(path: Path) -> None:
    lines = Lines(path)
    assert list(lines.current) == ["one"]
    lines.refresh()
    assert (lines.loads, lines.changes) == (1, 0)
    write(path, "one two")
    lines.refresh()
    assert list(lines.current) == ["one", "two"]
    assert (lines.loads, lines.changes) == (2, 1)


def test_a_file_that_is_wrong_leaves_the_old_content_and_is_read_at_every_look(path: Path) -> None:
    lines = Lines(path)
    write(path, "wrong")
    for _ in range(2):
        with pytest.raises(DoesNotLoad, match="is wrong"):
            lines.refresh()
    assert (lines.current, lines.loads, lines.changes) == (("one",), 3, 0)


def test_a_file_that_cannot_be_read_is_not_called_wrong(path: Path) -> None:
    lines = Lines(path)
    path.unlink()
    with pytest.raises(StartError, match="cannot read"):
        lines.refresh()
    assert lines.current == ("one",)


def test_where_wrong_content_may_mean_anything_it_is_not_called_wrong(path: Path) -> None:
    lines = Damaged(path)
    write(path, "wrong")
    with pytest.raises(StartError, match="is wrong"):
        lines.refresh()


def test_a_change_while_the_file_is_read_shows_at_the_next_look(path: Path) -> None:
    class Slow(Lines):
        def _load(self) -> tuple[str, ...]:
            lines = super()._load()
            if self.loads == 1:
                write(self.path, "later")
            return lines

    lines = Slow(path)
    assert list(lines.current) == ["one"]
    lines.refresh()
    assert list(lines.current) == ["later"]


def test_what_begins_with_a_value_reads_its_files_at_the_first_look(path: Path) -> None:
    class Given(Lines):
        def __init__(self, path: Path) -> None:
            self.path, self.loads, self.changes = path, 0, 0
            Reloaded.__init__(self, path, begin_with=lambda: ("given",))

    lines = Given(path)
    assert list(lines.current) == ["given"]
    lines.refresh()
    assert list(lines.current) == ["one"]
    lines.refresh()
    assert lines.loads == 1


def test_a_value_that_stays_the_same_is_no_change(path: Path) -> None:
    class Same(Lines):
        def _load(self) -> tuple[str, ...]:
            lines = super()._load()
            return self.current if self.loads > 1 else lines

    lines = Same(path)
    write(path, "two")
    lines.refresh()
    assert (lines.loads, lines.changes) == (2, 0)


def test_of_two_refreshes_at_once_the_second_waits_and_reads_nothing(path: Path) -> None:
    reading, may_end = Event(), Event()

    class Waiting(Lines):
        def _load(self) -> tuple[str, ...]:
            if self.loads:
                reading.set()
                assert may_end.wait(10)
            return super()._load()

    lines = Waiting(path)
    write(path, "two")
    first, second = Thread(target=lines.refresh), Thread(target=lines.refresh)
    first.start()
    assert reading.wait(10)
    second.start()
    second.join(0.02)
    assert second.is_alive()
    may_end.set()
    first.join(10)
    second.join(10)
    assert (lines.current, lines.loads, lines.changes) == (("two",), 2, 1)
