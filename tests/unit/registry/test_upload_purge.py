import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from authproxy.digest import Digest
from authproxy.reference import Repository
from authproxy.registry.upload_purge import AbandonedUpload, PurgeUploads, purge_uploads
from authproxy.storage import layout
from authproxy.storage.driver import Driver, NotFound
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.memory import MemoryDriver

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
WEEK = timedelta(hours=168)
OLD = NOW - WEEK - timedelta(seconds=1)
APP, BELOW, ALONE = Repository("team/app"), Repository("team/app/below"), Repository("alone")


@pytest.fixture(params=["filesystem", "memory"])
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    made: Driver = FilesystemDriver(tmp_path, threads=4) if request.param == "filesystem" else MemoryDriver()
    yield made
    await made.close()


async def begin(driver: Driver, repository: Repository, number: int, started: datetime) -> AbandonedUpload:
    session = UUID(int=number)
    async with driver.create_upload(layout.upload(repository, session), started=started) as upload:
        await upload.write(b"some of it")
    return AbandonedUpload(repository, session, started, len(b"some of it"))


async def is_there(driver: Driver, one: AbandonedUpload) -> bool:
    try:
        return await driver.upload_size(layout.upload(one.repository, one.session)) == len(b"some of it")
    except NotFound:
        return False


async def test_what_began_long_ago_goes_from_every_repository_and_what_is_younger_stays(driver: Driver) -> None:
    """Also from a name that holds nothing else."""
    old = [await begin(driver, name, number, OLD) for number, name in enumerate((ALONE, APP, APP, BELOW))]
    young = await begin(driver, APP, 9, NOW - WEEK)
    await driver.write(layout.layer_link(APP, Digest.of(b"x")), b"a link")
    gone = await purge_uploads(driver, older_than=NOW - WEEK, dry_run=False)
    assert sorted(gone, key=lambda one: one.session) == old
    assert [await is_there(driver, one) for one in old] == [False] * 4
    assert await is_there(driver, young)
    assert await driver.read([layout.layer_link(APP, Digest.of(b"x"))]) == [b"a link"]
    assert await driver.list_names(layout.repositories()) == ["team"]
    assert await purge_uploads(driver, older_than=NOW - WEEK, dry_run=False) == []


async def test_a_dry_run_tells_and_removes_nothing(driver: Driver) -> None:
    old = await begin(driver, APP, 1, OLD)
    assert await purge_uploads(driver, older_than=NOW, dry_run=True) == [old]
    assert await is_there(driver, old)


async def test_what_a_request_is_writing_to_stays(tmp_path: Path) -> None:
    driver = FilesystemDriver(tmp_path, threads=4)
    old = await begin(driver, APP, 1, OLD)
    async with driver.open_upload(layout.upload(APP, old.session), wait_s=0):
        assert await purge_uploads(driver, older_than=NOW, dry_run=False) == []
    assert await is_there(driver, old)
    await driver.close()


async def test_without_locks_a_request_that_writes_to_what_is_removed_is_told() -> None:
    driver = MemoryDriver()
    old = await begin(driver, APP, 1, OLD)
    upload = driver.open_upload(layout.upload(APP, old.session), wait_s=0)
    writing = await upload.__aenter__()
    await writing.write(b" and more")
    assert await purge_uploads(driver, older_than=NOW, dry_run=False) == [old]
    with pytest.raises(NotFound):
        await upload.__aexit__(None, None, None)
    assert not await is_there(driver, old)


@pytest.mark.parametrize("text", [b"", b"yesterday", b"2024-01-02T03:04:05", b"\xff"], ids=repr)
async def test_a_session_whose_beginning_is_unknown_stays(driver: Driver, text: bytes) -> None:
    one = await begin(driver, APP, 1, OLD)
    await driver.write(layout.upload_started(APP, one.session), text)
    assert await purge_uploads(driver, older_than=NOW, dry_run=False) == []
    assert await is_there(driver, one)


@pytest.mark.parametrize("text", [b"2024-01-02T03:04:05Z\n", b"2024-01-02T05:04:05+02:00"])
async def test_times_are_read_as_other_programs_write_them(driver: Driver, text: bytes) -> None:
    one = await begin(driver, APP, 1, OLD)
    await driver.write(layout.upload_started(APP, one.session), text)
    [purged] = await purge_uploads(driver, older_than=NOW, dry_run=False)
    assert purged.started == datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)


async def test_what_a_crash_left_of_a_session_goes_too(tmp_path: Path) -> None:
    driver = FilesystemDriver(tmp_path)
    one = await begin(driver, APP, 1, OLD)
    (tmp_path / layout.upload(APP, one.session) / layout.UPLOAD_DATA).unlink()
    assert await purge_uploads(driver, older_than=NOW, dry_run=False) == [replace(one, size=0)]
    assert await driver.list_names(layout.repositories()) == []
    await driver.close()


async def test_folders_that_are_no_sessions_are_left_alone(driver: Driver) -> None:
    path = layout.StorePath(f"{layout.uploads(APP)}/not-a-session/startedat")
    await driver.write(path, b"2001-01-01T00:00:00Z")
    assert await purge_uploads(driver, older_than=NOW, dry_run=False) == []
    assert await driver.read([path]) != [None]


class Rounds:
    """A clock that stands still, and tells when so many rounds have begun by it."""

    def __init__(self, wanted: int) -> None:
        self.came = asyncio.Event()
        self._left = wanted

    def now(self) -> datetime:
        self._left -= 1
        if not self._left:
            self.came.set()
        return NOW


@pytest.mark.parametrize("dry_run", [False, True], ids=["for good", "dry run"])
async def test_the_task_purges_by_its_clock_again_and_again(*, dry_run: bool) -> None:
    driver, told, rounds = MemoryDriver(), list[int](), Rounds(wanted=3)
    one = await begin(driver, APP, 1, OLD)
    young = await begin(driver, APP, 2, NOW - WEEK)
    task = PurgeUploads(
        driver,
        age=WEEK,
        interval=timedelta(milliseconds=1),
        dry_run=dry_run,
        first_within_s=0,
        removed=told.append,
        now=rounds.now,
    )
    running = asyncio.create_task(task.run())
    await asyncio.wait_for(rounds.came.wait(), 10)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    assert await is_there(driver, one) is dry_run
    assert await is_there(driver, young)
    assert told[:2] == ([] if dry_run else [1, 0])


async def test_a_round_that_fails_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, told, rounds = MemoryDriver(), list[int](), Rounds(wanted=3)
    list_names = driver.list_names

    async def fail_once(*_: object, **__: object) -> list[str]:
        monkeypatch.setattr(driver, "list_names", list_names)
        raise OSError("the disk is gone")

    monkeypatch.setattr(driver, "list_names", fail_once)
    interval = timedelta(milliseconds=1)
    task = PurgeUploads(driver, age=WEEK, interval=interval, first_within_s=0, removed=told.append, now=rounds.now)
    running = asyncio.create_task(task.run())
    await asyncio.wait_for(rounds.came.wait(), 10)
    running.cancel()
    await asyncio.wait([running])
    assert told in ([0], [0, 0])  # the first was told of nothing


async def test_the_first_round_waits() -> None:
    driver, told = MemoryDriver(), list[int]()
    task = PurgeUploads(driver, age=WEEK, interval=WEEK, removed=told.append)
    running = asyncio.create_task(task.run())
    await asyncio.sleep(0.01)  # of an hour at the most, and at random: it would be a strange accident
    running.cancel()
    await asyncio.wait([running])
    assert told == []
