import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from authproxy.storage.filesystem import group_fsync as syncs


@pytest.fixture(params=["at once", "one by one"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways, on any machine that has both."""
    if request.param == "one by one":
        monkeypatch.setattr(syncs, "_own_queue", lambda: None)
    return str(request.param)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What was synced alone."""
    done: list[int] = []
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, done.append)
    return done


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What was synced and how, alone or by the kernel's queue; it happens as well."""
    jobs: list[tuple[int, int]] = []
    ask = syncs._Queue._call

    def call(queue: syncs._Queue, number: int, *arguments: object) -> int:
        taken = ask(queue, number, *arguments)
        if number == queue._numbers.submit:
            for place in range(taken):
                _, _, _, operation, _, descriptor = syncs._REQUEST.unpack_from(
                    queue._requests, place * syncs._REQUEST.size
                )
                jobs.append((operation, descriptor))
        return taken

    def alone(operation: int, sync: Callable[[int], None]) -> Callable[[int], None]:
        def run(descriptor: int) -> None:
            sync(descriptor)
            jobs.append((operation, descriptor))

        return run

    monkeypatch.setattr(syncs._Queue, "_call", call)
    monkeypatch.setattr(os, "fsync", alone(syncs._FSYNC, os.fsync))
    monkeypatch.setattr(os, "fdatasync", alone(syncs._FDATASYNC, os.fdatasync))
    return jobs


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[int]]:
    opened = [os.open(tmp_path / str(number), os.O_RDWR | os.O_CREAT) for number in range(2 * syncs.MAX_AT_ONCE + 1)]
    for file in opened:
        os.write(file, b"content")
    yield opened
    for file in opened:
        os.close(file)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield opened
    os.close(opened)


@pytest.mark.parametrize("count", [0, 1, 2, syncs.MAX_AT_ONCE, 2 * syncs.MAX_AT_ONCE + 1])
def test_any_number_is_synced(way: str, done: list[tuple[int, int]], files: list[int], folder: int, count: int) -> None:
    syncs.sync_all(files[:count], [folder])
    assert done == [*((syncs._FDATASYNC, file) for file in files[:count]), (syncs._FSYNC, folder)]


def test_a_disk_that_fails_is_an_error_and_the_next_sync_is_right(way: str, files: list[int], folder: int) -> None:
    pipe = os.pipe()  # nothing that can be synced
    with pytest.raises(OSError, match="Invalid argument"):
        syncs.sync_all([files[0], pipe[0], files[1]], [folder])
    for end in pipe:
        os.close(end)
    with pytest.raises(OSError, match="Bad file descriptor"):
        syncs.sync_all(files, [pipe[0]])
    syncs.sync_all(files, [folder])


def test_what_the_kernel_does_not_take_is_synced_alone(
    files: list[int], folder: int, synced: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncs._Queue, "_call", lambda *_: -1)
    syncs.sync_all(files[:2], [folder])
    assert synced == [*files[:2], folder]


def test_an_error_of_the_kernels_work_is_raised_when_all_is_done(
    files: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([[0], [-5], [-28]])

    def call(queue: syncs._Queue, number: int, *_: object) -> int:
        if number == queue._numbers.submit:
            return 3
        for place, result in enumerate(answer := next(answers)):
            syncs._EVENT.pack_into(queue._events, place * syncs._EVENT.size, 0, 0, result, 0)
        return len(answer)

    monkeypatch.setattr(syncs._Queue, "_call", call)
    with pytest.raises(OSError, match="Input/output error"):
        syncs.sync_all(files[:3], [])
    assert next(answers, None) is None


def test_an_architecture_without_numbers_syncs_one_by_one(
    files: list[int], synced: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncs, "_own", syncs._Own())
    monkeypatch.setattr(syncs, "_NUMBERS", None)
    syncs.sync_all(files[:2], [])
    assert synced == files[:2]


def test_a_kernel_that_opens_no_queue_syncs_one_by_one(
    files: list[int], synced: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncs, "_own", syncs._Own())
    monkeypatch.setattr(syncs, "_syscall", lambda *_: -1)
    syncs.sync_all(files[:2], [])
    assert synced == files[:2]


def test_this_machine_syncs_at_once(files: list[int], synced: list[int]) -> None:
    """Where this fails the tests above have not seen the quick way."""
    syncs.sync_all(files[:2], [])
    assert synced == []
