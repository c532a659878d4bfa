"""The reserve: state is written on a full disk, by several processes, and content never gets its room."""

import asyncio
import errno
import os
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import pytest

from authproxy.digest import Digest
from authproxy.storage import layout
from authproxy.storage.driver import StorageFull
from authproxy.storage.filesystem.driver import RESERVE, FilesystemDriver
from authproxy.storage.filesystem.reserve import LOOK_EVERY_S, MIN_FREE_BYTES, SIZE_BYTES, STEP_BYTES, Reserve
from authproxy.storage.layout import STATE, StorePath
from tests.support.small_disk import fill, make_room, small_disk

DISK_BYTES = 16 * 1024 * 1024
RECORD = bytes(3000)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", DISK_BYTES) as folder:
        yield folder


def driver_on(folder: Path) -> FilesystemDriver:
    return FilesystemDriver(folder, threads=4, makes_reserve=True)


def reserve_of(folder: Path) -> int:
    """Bytes that are really taken."""
    status = (folder / RESERVE).stat()
    assert status.st_blocks * 512 >= status.st_size
    return status.st_size


def left_of(folder: Path) -> set[Path]:
    """The files but the reserve, and all below the folder of state."""
    return {path for path in folder.rglob("*") if path.is_file() and path != folder / RESERVE} | {
        *(folder / STATE).rglob("*")
    }


def record(name: object) -> StorePath:
    return StorePath(f"{STATE}/test/{name}/record")


async def test_state_is_written_on_a_full_disk_and_content_is_not(disk: Path) -> None:
    driver = driver_on(disk)
    assert reserve_of(disk) == SIZE_BYTES
    fill(disk)
    for number in range(200):
        await driver.write(record(number), RECORD)
    assert await driver.replace(record("swapped"), RECORD, expected=None)
    assert 0 < reserve_of(disk) < SIZE_BYTES
    content = b"content"
    with pytest.raises(StorageFull):
        await driver.write(layout.blob(Digest.of(content)), bytes(STEP_BYTES))
    with pytest.raises(StorageFull):
        async with driver.publish(
            [[(record("history"), RECORD), (layout.blob(Digest.of(content)), bytes(STEP_BYTES))]]
        ):
            pass
    assert await driver.delete(record(0))
    assert await driver.delete_tree(StorePath(f"{STATE}/test"))
    await driver.close()


async def test_state_that_needs_more_than_the_reserve_is_refused_and_leaves_nothing(disk: Path) -> None:
    driver = driver_on(disk)
    fill(disk)
    before = left_of(disk)
    with pytest.raises(StorageFull):
        await driver.write(record("large"), bytes(SIZE_BYTES + STEP_BYTES))
    assert left_of(disk) == before
    assert reserve_of(disk) == 0
    await driver.write(record("small"), RECORD)  # what it had taken has been given back
    await driver.close()


def _write_many(folder: str, name: str) -> None:
    async def write() -> None:
        driver = driver_on(Path(folder))
        for number in range(50):
            await driver.write(record(f"{name}-{number}"), RECORD)
        await driver.close()

    asyncio.run(write())


def test_several_processes_share_it(disk: Path) -> None:
    asyncio.run(driver_on(disk).close())
    fill(disk)
    spawn = get_context("spawn")
    processes = [spawn.Process(target=_write_many, args=(str(disk), str(number))) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(list((disk / STATE / "test").iterdir())) == 150
    assert reserve_of(disk) > SIZE_BYTES / 2


async def test_it_takes_nothing_from_a_disk_that_is_nearly_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", MIN_FREE_BYTES - STEP_BYTES) as folder:
        driver = driver_on(folder)
        assert reserve_of(folder) == 0
        await driver.close()


@pytest.mark.parametrize("arguments", [{}, {"read_only": True, "makes_reserve": True}], ids=["a command", "read only"])
async def test_it_is_made_by_servers_alone(tmp_path: Path, arguments: dict[str, bool]) -> None:
    await FilesystemDriver(tmp_path, **arguments).close()
    assert not (tmp_path / RESERVE).exists()


def test_it_is_filled_up_at_most_once_a_minute_after_a_write(disk: Path) -> None:
    now, file = [0.0], disk / "reserve"
    reserve = Reserve(file, is_made=True, now=lambda: now[0])
    fails = iter([OSError(errno.ENOSPC, "full"), OSError(errno.EDQUOT, "over quota")])

    def job() -> str:
        if (error := next(fails, None)) is not None:
            raise error
        return "done"

    fill(disk)
    assert reserve.spend(job) == "done"
    spent = SIZE_BYTES - 2 * STEP_BYTES
    assert file.stat().st_size == spent
    make_room(disk)
    now[0] = LOOK_EVERY_S - 1
    assert (reserve.spend(job), file.stat().st_size) == ("done", spent)
    now[0] = LOOK_EVERY_S
    assert (reserve.spend(job), file.stat().st_size) == ("done", SIZE_BYTES)
    file.unlink()
    now[0] = 2 * LOOK_EVERY_S
    assert (reserve.spend(job), file.stat().st_size) == ("done", SIZE_BYTES)


def test_nothing_is_given_back_where_inodes_are_lacking(disk: Path) -> None:
    reserve = Reserve(disk / "reserve", is_made=True, now=lambda: 0.0)

    def job() -> None:
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        reserve.spend(job)
    assert (disk / "reserve").stat().st_size == SIZE_BYTES


def test_a_copy_with_holes_is_filled(disk: Path) -> None:
    with (disk / "reserve").open("wb") as file:
        file.truncate(SIZE_BYTES)
    Reserve(disk / "reserve", is_made=True, now=lambda: 0.0)
    assert (disk / "reserve").stat().st_blocks * 512 >= SIZE_BYTES


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_else_is_in_its_place_is_left_alone(disk: Path, kind: str) -> None:
    target = disk / "target"
    target.write_bytes(b"kept")
    {"link": lambda at: at.symlink_to(target), "pipe": os.mkfifo, "folder": Path.mkdir}[kind](disk / "reserve")
    reserve = Reserve(disk / "reserve", is_made=True, now=lambda: 0.0)
    fill(disk)

    def job() -> None:
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        reserve.spend(job)
    assert target.read_bytes() == b"kept"
