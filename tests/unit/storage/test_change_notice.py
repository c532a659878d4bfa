"""The notice of changes: a reader learns each name, or that anything may have changed."""

import asyncio
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest

from authproxy.storage.change_notice import EVERYTHING_EVERY_S, MAX_NAMES, ChangeNotice, FollowChanges
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.layout import STATE, StorePath
from authproxy.storage.memory import MemoryDriver
from authproxy.storage.records import Records, RecordUnreadable
from authproxy.storage.state_layout import changed
from tests.support.tokens import FakeClock

A, B, OTHER = (StorePath(f"{STATE}/{name}") for name in ("locks/a", "locks/b", "other/c"))


@pytest.fixture(params=["filesystem", "memory"])
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    made: Driver = FilesystemDriver(tmp_path, threads=4) if request.param == "filesystem" else MemoryDriver()
    yield made
    await made.close()


class Reader:
    """Follows what is below `locks`."""

    def __init__(self, driver: Driver) -> None:
        self.clock = FakeClock(1000)
        self.changes = FollowChanges(driver, now=self.clock)
        self.seen: list[Collection[StorePath] | None] = []
        self.changes.follow(f"{STATE}/locks/", self.seen.append)

    async def look(self) -> list[Collection[StorePath] | None]:
        self.seen.clear()
        await self.changes.look()
        return list(self.seen)


async def test_the_first_look_is_at_everything_and_the_next_ones_at_what_changed(driver: Driver) -> None:
    notice, reader = ChangeNotice(driver), Reader(driver)
    assert await reader.look() == [None]
    assert await reader.look() == []
    await notice.note(A)
    assert await reader.look() == [None]  # of the first notice nobody knows what came before
    await notice.note(B, OTHER)
    await notice.note(OTHER)
    assert await reader.look() == [{B}]
    await notice.note(OTHER)
    assert await reader.look() == []


async def test_everything_is_looked_at_every_ten_minutes(driver: Driver) -> None:
    reader = Reader(driver)
    await reader.look()
    reader.clock.now += int(EVERYTHING_EVERY_S) - 1
    assert await reader.look() == []
    reader.clock.now += 1
    assert await reader.look() == [None]


async def test_changes_at_the_same_time_share_a_write_and_none_is_lost(driver: Driver) -> None:
    notice, other, reader = ChangeNotice(driver), ChangeNotice(driver), Reader(driver)
    await notice.note(OTHER)
    await reader.look()
    names = [StorePath(f"{STATE}/locks/{number}") for number in range(50)]
    await asyncio.gather(*((notice if index % 2 else other).note(name) for index, name in enumerate(names)))
    assert await reader.look() == [set(names)]
    record = await Records(driver).read(changed())
    assert record is not None
    assert record.fields["number"] < 20


async def test_a_reader_that_missed_too_much_looks_at_everything(driver: Driver) -> None:
    notice, reader = ChangeNotice(driver), Reader(driver)
    await notice.note(OTHER)
    await reader.look()
    for start in range(0, MAX_NAMES + 1, 100):
        await notice.note(*(StorePath(f"{STATE}/x/{start + number}") for number in range(100)))
    assert await reader.look() == [None]


async def test_a_write_that_fails_is_made_up_for_by_the_next(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    notice, reader = ChangeNotice(driver), Reader(driver)
    await notice.note(OTHER)
    await reader.look()
    with monkeypatch.context() as patch:
        patch.setattr(driver, "replace", _fail)
        with pytest.raises(OSError, match="full"):
            await notice.note(A)
    await notice.note(B)
    assert await reader.look() == [{A, B}]


async def _fail(*_: object, **__: object) -> bool:
    raise OSError("full")


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"version": "1.0", "id": 1}', b""], ids=repr)
async def test_a_damaged_notice_is_replaced_and_readers_look_at_everything(driver: Driver, content: bytes) -> None:
    notice, reader = ChangeNotice(driver), Reader(driver)
    await notice.note(OTHER)
    await reader.look()
    await driver.write(changed(), content)
    assert await reader.look() == [None]
    await notice.note(A)
    assert await reader.look() == [None]
    await notice.note(B)
    assert await reader.look() == [{B}]


async def test_a_notice_of_a_newer_version_is_left_alone(driver: Driver) -> None:
    await driver.write(changed(), b'{"version": "2.0"}')
    with pytest.raises(RecordUnreadable):
        await ChangeNotice(driver).note(A)


async def test_a_restored_notice_is_noticed(driver: Driver) -> None:
    notice, reader = ChangeNotice(driver), Reader(driver)
    await notice.note(OTHER)
    [backup] = await driver.read([changed()], fresh=True)
    assert backup is not None
    await notice.note(A)
    await reader.look()
    await driver.write(changed(), backup)
    assert await reader.look() == [None]


async def test_a_follower_that_fails_keeps_nothing_from_the_others(driver: Driver) -> None:
    changes, seen = FollowChanges(driver), list[Collection[StorePath] | None]()

    def fail(names: Collection[StorePath] | None) -> None:
        raise ValueError(names)

    changes.follow("", fail)
    changes.follow("", seen.append)
    await changes.look()
    assert seen == [None]
