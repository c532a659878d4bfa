"""A disk that is full from any write of a collection on: nothing is lost, and the next run goes on."""

import errno
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from authproxy.digest import Digest, parse_digest
from authproxy.maintenance.gc import collector
from authproxy.maintenance.gc.collector import CollectOptions, Collector
from authproxy.maintenance.gc.marking import mark
from authproxy.maintenance.gc.options import Untagged
from authproxy.maintenance.gc.tidy import Tidy
from authproxy.maintenance.ticks import Ticks
from authproxy.reference import Repository
from authproxy.registry.gc_marks import Kind, mark_of
from authproxy.registry.trash import Trash
from authproxy.storage import layout, state_layout
from authproxy.storage.driver import StorageFull, list_all
from authproxy.storage.records import Records
from tests.support.full_storage import FullFilesystem, FullMemory
from tests.support.image import make_image
from tests.support.registry import connect, push_blob, push_image, push_manifest, sha256
from tests.support.small_disk import fill, make_room, small_disk

APP, OTHER = Repository("team/app"), Repository("other")
OPTIONS = CollectOptions(grace_s=100.0, trash_s=300.0, untagged=Untagged.REMOVE)
FORGOTTEN = make_image("forgotten")
PROMISED = b"asked for in its grace"
ORPHAN = b"without a link"


class World:
    """A registry, a collector, and hours that pass by a call."""

    def __init__(self, driver: FullFilesystem | FullMemory, folder: Path | None = None) -> None:
        self.driver = driver
        self.now = 1000.0
        self.folder = folder
        self.records = Records(driver)
        self.ticks = Ticks(self.records, tick_s=1.0, now=lambda: self.now, boot="one")

    async def prepare(self, registry: httpx.AsyncClient) -> None:
        """One image stays; another was forgotten, one blob will be asked for, one has no link."""
        await push_image(registry, APP, "v1")
        await push_blob(registry, APP, FORGOTTEN.layer)
        await push_blob(registry, APP, FORGOTTEN.config)
        await push_manifest(registry, APP, sha256(FORGOTTEN.manifest), FORGOTTEN.manifest)
        await push_blob(registry, OTHER, PROMISED)
        await self.driver.write(layout.blob(Digest.of(ORPHAN)), ORPHAN)
        await self.records.create(state_layout.gc_enabled(), {})

    async def collect(self) -> None:
        await Collector(self.driver, OPTIONS, ticks=self.ticks, folder=self.folder, sleep=self.sleep).run()

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def pass_time(self, seconds: float) -> None:
        for _ in range(2):
            await self.ticks.advance()
            self.now += seconds + 1

    async def has(self, content: bytes) -> bool:
        return await self.driver.sizes([layout.blob(Digest.of(content))]) != [None]

    async def epochs(self) -> list[str]:
        """The folders of the collector's lists."""
        names = [
            name async for batch in list_all(self.driver, layout.StorePath(f"{layout.STATE}/gc")) for name in batch
        ]
        return [name for name in names if name not in ("enabled", "state", "tick")]

    async def removed_without_a_trace(self) -> bool:
        """Whether the link to the forgotten manifest is gone, and its bytes are there, but not for the trash."""
        link = layout.revision_link(APP, Digest.of(FORGOTTEN.manifest))
        if await self.driver.sizes([link]) != [None] or not await self.has(FORGOTTEN.manifest):
            return False
        held = {digest async for deleted in Trash(self.driver).of(APP) for digest in deleted.links.revisions}
        return Digest.of(FORGOTTEN.manifest) not in held


@asynccontextmanager
async def world_of(kind: str, folder: Path) -> AsyncIterator[World]:
    driver = FullFilesystem(folder, threads=4) if kind == "filesystem" else FullMemory(clock_s=lambda: world.now)
    world = World(driver)
    try:
        yield world
    finally:
        await driver.close()


async def assert_kept(registry: httpx.AsyncClient) -> None:
    manifest = await registry.get(f"/v2/{APP}/manifests/v1")
    assert manifest.status_code == 200
    body = manifest.json()
    for row in (body["config"], *body["layers"]):
        blob = await registry.get(f"/v2/{APP}/blobs/{row['digest']}")
        assert Digest.of(blob.content) == parse_digest(row["digest"])


async def full_from(world: World, room: float) -> bool:
    """Collect to the end, on a disk that is full after `room` writes until the run has failed. Whether it was full."""
    was_full = False
    async with connect(world.driver) as registry:
        await world.prepare(registry)
        promised = False
        world.driver.room = room
        for number in range(8):
            in_trash = number < 3
            try:
                await world.collect()
            except StorageFull:
                was_full = True
                assert not (in_trash and await world.removed_without_a_trace())
                await assert_kept(registry)
                world.driver.room = math.inf
                await world.collect()
            if number == 0:
                async with connect(world.driver) as another:  # a process that knows the state of the collector
                    answer = await another.head(f"/v2/{OTHER}/blobs/{sha256(PROMISED)}")
                assert answer.status_code in (200, 503)
                if answer.status_code == 503:  # the promise has no room
                    was_full, world.driver.room = True, math.inf
                promised = answer.status_code == 200
            if number == 1 and promised:
                assert (await registry.get(f"/v2/{OTHER}/blobs/{sha256(PROMISED)}")).content == PROMISED
            assert not (in_trash and await world.removed_without_a_trace())
            await assert_kept(registry)
            room, world.driver.room = world.driver.room, math.inf
            await world.pass_time(OPTIONS.grace_s if in_trash else OPTIONS.trash_s)
            world.driver.room = room
        for content in (FORGOTTEN.manifest, FORGOTTEN.layer, FORGOTTEN.config, PROMISED, ORPHAN):
            assert not await world.has(content)
        assert await world.epochs() == []
        assert [each async for each in Trash(world.driver).of(APP)] == []
    return was_full


@pytest.mark.parametrize("kind", ["filesystem", "memory"])
async def test_full_from_each_write_on(kind: str, tmp_path: Path) -> None:
    room, was_full = 0, True
    while was_full:
        async with world_of(kind, tmp_path / str(room)) as world:
            was_full = await full_from(world, room)
        room += 1 if kind == "memory" else 5  # which takes its time
    assert room > 12


@pytest.mark.parametrize("kind", ["filesystem", "memory"])
async def test_where_a_list_has_gone_a_promise_keeps_what_it_may_have_named(kind: str, tmp_path: Path) -> None:
    """A collector may have read the list before: it stopped, and a run that took it for a leftover removed it."""
    async with world_of(kind, tmp_path) as world, connect(world.driver) as registry:
        await world.prepare(registry)
        await world.collect()
        [epoch] = await world.epochs()
        await Tidy(world.driver).remove_list(epoch)
        async with connect(world.driver) as another:
            assert (await another.head(f"/v2/{OTHER}/blobs/{sha256(PROMISED)}")).status_code == 200
        mark = mark_of(Kind.LAYER, OTHER, Digest.of(PROMISED))
        assert await world.driver.sizes([state_layout.gc_revived_mark(epoch, mark.hex())]) != [None]
        for _ in range(2):
            await world.pass_time(OPTIONS.grace_s)
            await world.collect()  # the first one condemns again: nothing goes by half a list
        assert await world.epochs() != [epoch]
        await assert_kept(registry)


@pytest.fixture
def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files are written from the first record on."""
    monkeypatch.setattr(
        collector, "mark", lambda driver, options, **more: mark(driver, replace(options, run=1), **more)
    )


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "temporary", 1024 * 1024) as folder:
        yield folder


@pytest.mark.parametrize("kind", ["filesystem", "memory"])
@pytest.mark.usefixtures("small_runs")
async def test_a_full_temporary_folder_ends_each_run_and_loses_nothing(
    kind: str, tmp_path: Path, temporary: Path
) -> None:
    async with world_of(kind, tmp_path / "store") as world, connect(world.driver) as registry:
        world.folder = temporary
        await world.prepare(registry)
        for _ in range(5):
            fill(temporary)
            with pytest.raises(OSError, match="No space left") as raised:
                await world.collect()
            assert raised.value.errno == errno.ENOSPC
            await assert_kept(registry)
            make_room(temporary)
            await world.collect()
            await world.pass_time(OPTIONS.trash_s)
        await assert_kept(registry)
        assert not await world.has(FORGOTTEN.layer)
        assert await world.epochs() == []
