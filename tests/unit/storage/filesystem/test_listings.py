"""Remembered listings are those that a fresh look would give, whoever changed the folder and however quickly."""

import asyncio
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authproxy.storage.filesystem import listings as folder_lists
from authproxy.storage.filesystem.listings import SETTLES_AFTER_COARSE_NS, SETTLES_AFTER_NS, FolderLists, Stamp
from authproxy.storage.filesystem.nonblocking import NotCached
from authproxy.storage.filesystem.thread_pool import ThreadPool

ALL = 1000


def much_later() -> int:
    """A clock for which every change lies long back."""
    return time.time_ns() + 10 * SETTLES_AFTER_COARSE_NS


@pytest.fixture
async def workers() -> AsyncIterator[ThreadPool]:
    made = ThreadPool(4)
    yield made
    await made.close()


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each folder was listed."""
    counted: Counter[str] = Counter()
    listdir = os.listdir

    def count(folder: str) -> list[str]:
        counted[Path(folder).name] += 1
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", count)
    return counted


def folder_of(parent: Path, *names: str, name: str = "tags") -> str:
    folder = parent / name
    folder.mkdir(parents=True)
    for entry in names:
        (folder / entry).mkdir()
    return str(folder)


async def all_names(lists: FolderLists, folder: str) -> list[str]:
    return await lists.names(folder, "", ALL)


async def test_a_page_begins_behind_a_name_that_need_not_be_there(workers: ThreadPool, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "a.b", "a", ".half-written", "B", "a-b", "a0")
    lists = FolderLists(workers, now_ns=much_later)
    for _ in range(2):
        assert await all_names(lists, folder) == ["B", "a", "a-b", "a.b", "a0"]
        assert await lists.names(folder, "a-a", 2) == ["a-b", "a.b"]
        assert await lists.names(folder, "a0", 2) == []
        assert await lists.names(folder, "", 0) == []


async def test_what_is_no_folder_has_no_names(workers: ThreadPool, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    lists = FolderLists(workers)
    assert await all_names(lists, str(tmp_path / "missing")) == []
    assert await all_names(lists, str(tmp_path / "file")) == []


async def test_an_unchanged_folder_is_listed_once_and_nobody_waits_for_it(
    workers: ThreadPool, tmp_path: Path, scans: Counter[str]
) -> None:
    folder = folder_of(tmp_path, "v1")
    lists = FolderLists(workers, now_ns=much_later)
    await all_names(lists, folder)
    for _ in range(5):
        with pytest.raises(StopIteration) as ended:
            all_names(lists, folder).send(None)  # a coroutine that waits for something would come back from this
        assert ended.value.value == ["v1"]
    assert scans["tags"] == 1


def replace_by_another(tags: Path) -> None:
    shutil.rmtree(tags)
    folder_of(tags.parent, "v9")


def replace_by_a_file(tags: Path) -> None:
    shutil.rmtree(tags)
    tags.touch()


def replace_by_an_older(tags: Path) -> None:
    older = Path(folder_of(tags.parent, "old", name="older"))
    os.utime(older, ns=(0, 0))
    tags.rename(tags.parent / "away")
    older.rename(tags)


CHANGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "added": (lambda tags: (tags / "v3").mkdir(), ["v1", "v2", "v3"]),
    "removed": (lambda tags: (tags / "v1").rmdir(), ["v2"]),
    "renamed": (lambda tags: (tags / "v1").rename(tags / "v0"), ["v0", "v2"]),
    "removed with the folder": (shutil.rmtree, []),
    "a new folder": (replace_by_another, ["v9"]),
    "a file instead": (replace_by_a_file, []),
    "an older folder instead": (replace_by_an_older, ["old"]),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_what_another_program_changes_shows_at_once(workers: ThreadPool, tmp_path: Path, change: str) -> None:
    folder = folder_of(tmp_path, "v1", "v2")
    lists = FolderLists(workers, now_ns=much_later)
    assert await all_names(lists, folder) == ["v1", "v2"]
    await asyncio.sleep(0.02)  # past the kernel's tick, so that the stamp alone has to show it
    do, expected = CHANGES[change]
    do(Path(folder))
    assert await all_names(lists, folder) == expected


MOMENT = 1_700_000_000_123_456_789
SECOND = 1_700_000_000_000_000_000
SETTLED = [
    ("at once", Stamp(1, MOMENT, MOMENT), MOMENT, False),
    ("a moment too early", Stamp(1, MOMENT, MOMENT), MOMENT + SETTLES_AFTER_NS - 1, False),
    ("long enough", Stamp(1, MOMENT, MOMENT), MOMENT + SETTLES_AFTER_NS, True),
    ("its time was set back", Stamp(1, 0, MOMENT), MOMENT + 1, False),
    ("its time is to come", Stamp(1, MOMENT + 10**12, MOMENT), MOMENT + SETTLES_AFTER_NS, False),
    ("our clock was set back", Stamp(1, MOMENT, MOMENT), MOMENT - 10**12, False),
    ("whole seconds", Stamp(1, SECOND, SECOND), SECOND + SETTLES_AFTER_NS, False),
    ("whole seconds, long enough", Stamp(1, SECOND, SECOND), SECOND + SETTLES_AFTER_COARSE_NS, True),
]


@pytest.mark.parametrize(("stamp", "now", "expected"), [row[1:] for row in SETTLED], ids=[row[0] for row in SETTLED])
def test_a_stamp_settles(stamp: Stamp, now: int, *, expected: bool) -> None:
    assert stamp.is_settled(now) is expected


async def test_two_changes_within_one_tick_are_both_seen(
    workers: ThreadPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stamp stays what it is; only the time since it can tell."""
    folder = folder_of(tmp_path, "v1")
    stamp = Stamp(1, MOMENT, MOMENT)
    monkeypatch.setattr(Stamp, "of", lambda _status: stamp)
    clock = iter([MOMENT + SETTLES_AFTER_NS - 1, MOMENT + SETTLES_AFTER_NS])
    lists = FolderLists(workers, now_ns=lambda: next(clock))
    assert await all_names(lists, folder) == ["v1"]
    (tmp_path / "tags" / "v2").mkdir()
    assert await all_names(lists, folder) == ["v1", "v2"]
    assert await all_names(lists, folder) == ["v1", "v2"]  # the clock has no third moment: this one was remembered


async def test_a_fresh_folder_is_listed_again_until_it_has_settled(
    workers: ThreadPool, tmp_path: Path, scans: Counter[str]
) -> None:
    folder = folder_of(tmp_path, "v1")
    now = changed = os.stat(folder).st_ctime_ns  # noqa: PTH116 - not a disk that could be slow
    lists = FolderLists(workers, now_ns=lambda: now)
    for _ in range(3):
        await all_names(lists, folder)
    assert scans["tags"] == 3
    now = changed + SETTLES_AFTER_COARSE_NS
    for _ in range(3):
        await all_names(lists, folder)
    assert scans["tags"] == 4


class Gate:
    """Holds up `os.listdir` after it has read, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self._listdir = os.listdir
        monkeypatch.setattr(os, "listdir", self._list)

    def _list(self, folder: str) -> list[str]:
        names = self._listdir(folder)
        self.reached.set()
        assert self.opened.wait(10)
        return names


async def test_who_asks_during_a_scan_sees_what_was_changed_before_asking(
    workers: ThreadPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path, "v1")
    gate = Gate(monkeypatch)
    lists = FolderLists(workers)
    early = asyncio.create_task(all_names(lists, folder))
    await asyncio.to_thread(gate.reached.wait, 10)
    (tmp_path / "tags" / "v2").mkdir()
    late = asyncio.create_task(all_names(lists, folder))
    await asyncio.sleep(0)
    gate.opened.set()
    assert await late == ["v1", "v2"]
    assert await early == ["v1"]


@pytest.mark.parametrize(("now_ns", "expected"), [(much_later, 1), (time.time_ns, 2)], ids=["settled", "fresh"])
async def test_those_who_ask_at_once_share_a_scan(
    workers: ThreadPool, tmp_path: Path, scans: Counter[str], now_ns: Callable[[], int], expected: int
) -> None:
    """Fresh: the first is under way when the others ask, and might have missed something; they share a second."""
    folder = folder_of(tmp_path, "v1")
    lists = FolderLists(workers, now_ns=now_ns)
    assert await asyncio.gather(*(all_names(lists, folder) for _ in range(20))) == [["v1"]] * 20
    assert scans["tags"] == expected


async def test_who_gives_up_leaves_the_scan_to_the_others(
    workers: ThreadPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path, "v1")
    gate = Gate(monkeypatch)
    lists = FolderLists(workers, now_ns=much_later)
    first = asyncio.create_task(all_names(lists, folder))
    await asyncio.to_thread(gate.reached.wait, 10)
    first.cancel()
    await asyncio.wait([first])
    second = asyncio.create_task(all_names(lists, folder))
    await asyncio.sleep(0)
    gate.opened.set()
    assert await second == ["v1"]


async def test_a_scan_that_fails_is_everybodys_error_and_is_not_remembered(
    workers: ThreadPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_folder: str) -> list[str]:
        raise PermissionError

    folder = folder_of(tmp_path, "v1")
    lists = FolderLists(workers, now_ns=much_later)
    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", fail)
        answers = await asyncio.gather(*(all_names(lists, folder) for _ in range(3)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [PermissionError] * 3
    assert await all_names(lists, folder) == ["v1"]


async def test_those_used_last_are_kept(workers: ThreadPool, tmp_path: Path, scans: Counter[str]) -> None:
    a, b, c = (folder_of(tmp_path, "v1", name=name) for name in "abc")
    lists = FolderLists(workers, max_bytes=2 * 600, now_ns=much_later)
    for folder in (a, b, a, c, a, b):
        assert await all_names(lists, folder) == ["v1"]
    assert scans == {"a": 1, "b": 2, "c": 1}


async def test_a_listing_over_the_bound_is_not_kept_and_costs_the_others_nothing(
    workers: ThreadPool, tmp_path: Path, scans: Counter[str]
) -> None:
    many = [f"v{number:03}" for number in range(100)]
    small, large = folder_of(tmp_path, "v1", name="small"), folder_of(tmp_path, *many, name="large")
    lists = FolderLists(workers, max_bytes=2000, now_ns=much_later)
    for _ in range(2):
        assert await all_names(lists, small) == ["v1"]
        assert await all_names(lists, large) == many
    assert scans == {"small": 1, "large": 2}


async def test_where_the_kernel_does_not_tell_a_thread_looks(
    workers: ThreadPool, tmp_path: Path, scans: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_cached(_folder: str) -> os.stat_result:
        raise NotCached

    monkeypatch.setattr(folder_lists, "stat_folder_cached", not_cached)
    folder = folder_of(tmp_path, "v1")
    lists = FolderLists(workers, now_ns=much_later)
    for _ in range(3):
        assert await all_names(lists, folder) == ["v1"]
    assert scans["tags"] == 1
    await asyncio.sleep(0.02)
    (tmp_path / "tags" / "v2").mkdir()
    assert await all_names(lists, folder) == ["v1", "v2"]
    shutil.rmtree(folder)
    assert await all_names(lists, folder) == []


STEPS = st.lists(
    st.tuples(st.sampled_from(["make", "remove", "drop", "wait"]), st.sampled_from(["a", "b", "b/c", "b/d", "c"])),
    max_size=25,
)


@given(steps=STEPS)
@settings(deadline=None)
async def test_any_changes_in_any_order_show_as_in_a_fresh_look(steps: list[tuple[str, str]]) -> None:
    workers = ThreadPool(2)
    lists = FolderLists(workers)
    with TemporaryDirectory() as root:
        for step, name in steps:
            if step == "wait":
                await asyncio.sleep(SETTLES_AFTER_NS / 1e9)
            else:
                change(Path(root, name), step)
            for folder in (root, f"{root}/b"):
                assert await all_names(lists, folder) == fresh_look(folder)
    await workers.close()


def change(path: Path, step: str) -> None:
    if step == "make":
        path.mkdir(parents=True, exist_ok=True)
    elif step == "drop":
        shutil.rmtree(path, ignore_errors=True)
    elif path.is_dir() and not any(path.iterdir()):
        path.rmdir()


def fresh_look(folder: str) -> list[str]:
    return sorted(entry.name for entry in Path(folder).iterdir()) if Path(folder).is_dir() else []
