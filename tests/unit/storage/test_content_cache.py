"""What is remembered of small contents is right: at once after a change of ours, soon after one of another program."""

import multiprocessing
from pathlib import Path

from authproxy.storage.change_marks import MARKS, ChangeMarks
from authproxy.storage.content_cache import ENTRY_BYTES, MAX_ENTRY_BYTES, ContentCache
from authproxy.storage.filesystem.driver import FOREIGN_S, FilesystemDriver
from authproxy.storage.layout import StorePath

PATH = StorePath("docker/registry/v2/a/link")


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Shelf:
    """Contents, and how often each was read."""

    def __init__(self, **contents: bytes) -> None:
        self.contents = contents
        self.reads: list[str] = []

    def __call__(self, path: str) -> bytes | None:
        self.reads.append(path)
        return self.contents.get(path)


def remembered(tmp_path: Path, *, max_bytes: int = 10_000) -> tuple[ContentCache, ChangeMarks, Clock]:
    changes, clock = ChangeMarks(tmp_path / "changes"), Clock()
    return ContentCache(changes, foreign_s=2.0, now=clock, max_bytes=max_bytes), changes, clock


def test_what_was_read_is_found_until_it_changes(tmp_path: Path) -> None:
    known, changes, _ = remembered(tmp_path)
    assert known.find("a") is None
    assert known.read("a", Shelf(a=b"1")) == b"1"
    assert known.find("a") == b"1"
    changes.renew("a")
    assert known.find("a") is None


def test_what_another_program_changed_is_seen_after_two_seconds(tmp_path: Path) -> None:
    known, _, clock = remembered(tmp_path)
    known.read("a", Shelf(a=b"1"))
    clock.seconds += 1.9
    assert known.find("a") == b"1"
    clock.seconds += 0.2
    assert known.find("a") is None


def test_a_change_while_it_is_read_makes_it_old(tmp_path: Path) -> None:
    known, changes, _ = remembered(tmp_path)

    def read(path: str) -> bytes:
        changes.renew(path)
        return b"from before"

    known.read("a", read)
    assert known.find("a") is None


def test_what_is_not_there_is_not_remembered(tmp_path: Path) -> None:
    known, _, _ = remembered(tmp_path)
    assert known.read("a", Shelf()) is None
    assert known.find("a") is None


def test_a_large_content_is_not_remembered(tmp_path: Path) -> None:
    known, _, _ = remembered(tmp_path, max_bytes=10 * MAX_ENTRY_BYTES)
    known.read("a", Shelf(a=bytes(MAX_ENTRY_BYTES + 1)))
    assert known.find("a") is None


def test_what_was_read_longest_ago_goes_first(tmp_path: Path) -> None:
    known, _, _ = remembered(tmp_path, max_bytes=2 * (ENTRY_BYTES + 1))
    shelf = Shelf(a=b"1", b=b"2", c=b"3")
    for path in ("a", "b", "a", "c"):
        known.read(path, shelf)
    assert [known.find(path) for path in ("a", "b", "c")] == [b"1", None, b"3"]


def test_a_content_read_again_counts_once(tmp_path: Path) -> None:
    known, _, _ = remembered(tmp_path, max_bytes=2 * (ENTRY_BYTES + 1))
    shelf = Shelf(a=b"1", b=b"2")
    for path in ("a", "b", *["a"] * 10):
        known.read(path, shelf)
    assert known.find("b") == b"2"


def test_a_test_for_later_holds_until_a_change_or_two_seconds(tmp_path: Path) -> None:
    known, changes, clock = remembered(tmp_path)
    shelf = Shelf(a=b"1", b=b"2")
    for path in ("a", "b"):
        known.read(path, shelf)
    both = [("a", b"1"), ("b", b"2")]
    still = known.content_check(both)
    assert still is not None
    assert still()
    clock.seconds += 2.1
    assert not still()
    for path in ("a", "b"):
        known.read(path, shelf)
    still = known.content_check(both)
    assert still is not None
    changes.renew("b")
    assert not still()


def test_there_is_no_test_for_what_was_not_read_or_read_otherwise(tmp_path: Path) -> None:
    known, _, _ = remembered(tmp_path)
    known.read("a", Shelf(a=b"1"))
    assert known.content_check([("b", b"2")]) is None
    assert known.content_check([("a", b"an older content")]) is None


def test_a_folder_is_unchanged_until_something_in_it_changes_or_a_second_has_passed(tmp_path: Path) -> None:
    known, changes, clock = remembered(tmp_path)
    unchanged = known.folder_check("a/_manifests/tags")
    assert unchanged()
    changes.renew("a/_manifests/tags/v1/current/link")
    assert not unchanged()
    unchanged = known.folder_check("a/_manifests/tags")
    clock.seconds += 1.1
    assert not unchanged()


def test_every_mark_changes_where_anything_may_have(tmp_path: Path) -> None:
    changes = ChangeMarks(tmp_path / "changes")
    before = [changes.mark(str(number)) for number in range(MARKS)]
    changes.renew_all()
    assert not any(mark == changes.mark(str(number)) for number, mark in enumerate(before))


def renew(file: Path) -> None:
    ChangeMarks(file).renew("a")


def test_a_change_is_told_to_other_processes(tmp_path: Path) -> None:
    known, _, _ = remembered(tmp_path)
    known.read("a", Shelf(a=b"1"))
    process = multiprocessing.get_context("spawn").Process(target=renew, args=(tmp_path / "changes",))
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert known.find("a") is None


def test_where_no_file_can_be_made_the_marks_are_this_process_s(tmp_path: Path) -> None:
    changes = ChangeMarks(tmp_path / "missing" / "changes")
    before = changes.mark("a")
    changes.renew("a")
    assert changes.mark("a") != before


async def test_two_workers_see_each_others_writes_and_deletes_at_once(tmp_path: Path) -> None:
    one, other = FilesystemDriver(tmp_path), FilesystemDriver(tmp_path)
    try:
        for content in (b"1", b"2"):
            await one.write(PATH, content)
            assert [await driver.read([PATH]) for driver in (one, other)] == [[content], [content]]
        assert await other.replace(PATH, b"3", expected=b"2")
        assert await one.read([PATH]) == [b"3"]
        assert await other.delete(PATH)
        assert await one.read([PATH]) == [None]
        await one.write(PATH, b"4")
        assert await other.read([PATH]) == [b"4"]
        assert await one.delete_tree(StorePath("docker/registry/v2/a"))
        assert await other.read([PATH]) == [None]
    finally:
        await one.close()
        await other.close()


def test_what_may_go_unnoticed_is_two_seconds() -> None:
    assert FOREIGN_S == 2.0
