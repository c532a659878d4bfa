"""Which tags there are: the links count, are looked for once, and no longer than two seconds are they believed."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from authproxy.digest import Digest
from authproxy.reference import Repository, Tag
from authproxy.registry.tag_list import LOOK, SEEN_FOR_S, TagNames
from authproxy.storage import layout
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.layout import StorePath

APP = Repository("team/app")
LINK = str(Digest.of(b"a manifest")).encode()


class Watched(FilesystemDriver):
    """Counts the links that are looked for."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.root = root
        self.looks: Counter[str] = Counter()
        self.looked = asyncio.Event()

    async def sizes(self, paths: Sequence[StorePath]) -> list[int | None]:
        self.looks.update(path.split("/")[-3] for path in paths)
        self.looked.set()
        return await super().sizes(paths)

    def seed(self, *tags: str) -> None:
        """Set tags as another program would."""
        for tag in tags:
            link = self.root / layout.tag_current(APP, Tag(tag))
            link.parent.mkdir(parents=True)
            link.write_bytes(LINK)


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[Watched]:
    made = Watched(tmp_path)
    yield made
    await made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def names(driver: Watched, clock: Clock) -> TagNames:
    return TagNames(driver, now=clock)


async def test_a_page_looks_at_its_own_tags_alone(driver: Watched, names: TagNames) -> None:
    driver.seed(*(f"v{number:02}" for number in range(40)))
    assert await names.find(APP, after="v09", limit=3) == ["v10", "v11", "v12"]
    assert driver.looks == {"v10": 1, "v11": 1, "v12": 1}


async def test_a_link_that_was_seen_is_not_looked_for_again(driver: Watched, names: TagNames) -> None:
    driver.seed("v1", "v2")
    for _ in range(3):
        assert await names.find(APP) == ["v1", "v2"]
        assert await names.find(APP, limit=1) == ["v1"]
    driver.seed("v3")
    assert await names.find(APP) == ["v1", "v2", "v3"]
    assert driver.looks == {"v1": 1, "v2": 1, "v3": 1}


async def test_nobody_waits_for_what_was_seen(driver: Watched, names: TagNames) -> None:
    driver.seed("v1", "v2")
    settled = time.monotonic() + 5
    while time.monotonic() < settled:  # until the folder's listing is one that is remembered
        try:
            names.find(APP).send(None)
        except StopIteration as ended:
            assert ended.value == ["v1", "v2"]
            return
        await names.find(APP)
        await asyncio.sleep(0.01)
    pytest.fail("it always waits")


async def test_a_link_that_another_program_took_away_is_missed_after_two_seconds(
    driver: Watched, names: TagNames, clock: Clock
) -> None:
    driver.seed("v1", "v2")
    await names.find(APP)
    os.unlink(driver.root / layout.tag_current(APP, Tag("v1")))  # noqa: PTH108 - a test's own file
    clock.now += SEEN_FOR_S
    assert await names.find(APP) == ["v2"]


async def test_a_folder_without_link_is_no_tag_until_it_has_one(driver: Watched, names: TagNames) -> None:
    driver.seed("v1")
    link = driver.root / layout.tag_current(APP, Tag("v2"))
    await driver.write(layout.tag_index_link(APP, Tag("v2"), Digest.of(b"x")), b"x")
    os.mkdir(link.parent)  # noqa: PTH102 - a test's own folder
    for _ in range(2):
        assert await names.find(APP) == ["v1"]
        assert await names.find(APP, limit=5) == ["v1"]
    await driver.write(layout.tag_current(APP, Tag("v2")), LINK)
    assert await names.find(APP) == ["v1", "v2"]


async def test_a_page_is_full_where_some_are_none(driver: Watched, names: TagNames) -> None:
    driver.seed("a", "d", "e", "f")
    for none in ("b", "c", "no+tag"):
        await driver.write(StorePath(f"{layout.tags(APP)}/{none}/index/x"), b"x")
    assert await names.find(APP, limit=3) == ["a", "d", "e"]
    assert await names.find(APP, after="a", limit=2) == ["d", "e"]
    assert driver.looks["no+tag"] == 0


async def test_a_tag_that_was_removed_here_is_looked_for_again(driver: Watched, names: TagNames) -> None:
    driver.seed("v1", "v2")
    await names.find(APP)
    await driver.delete(layout.tag_current(APP, Tag("v1")))
    await driver.write(StorePath(f"{layout.tags(APP)}/v1/foreign"), b"so that the folder stays")
    names.forget(APP, Tag("v1"))
    assert await names.find(APP) == ["v2"]


async def test_many_who_ask_at_once_look_for_each_link_once(driver: Watched, names: TagNames) -> None:
    tags = sorted(f"v{number}" for number in range(LOOK + 10))
    driver.seed(*tags)
    assert await asyncio.gather(*(names.find(APP) for _ in range(8))) == [tags] * 8
    assert set(driver.looks.values()) == {1}


async def test_a_first_look_that_takes_long_is_shared_and_then_too_old(
    driver: Watched, names: TagNames, clock: Clock
) -> None:
    driver.seed("v1")
    first = asyncio.create_task(names.find(APP))
    await driver.looked.wait()
    clock.now += SEEN_FOR_S
    await first
    assert await names.find(APP) == ["v1"]
    assert driver.looks == {"v1": 2}


async def test_what_is_too_old_is_forgotten_for_all_repositories(
    driver: Watched, names: TagNames, clock: Clock
) -> None:
    driver.seed("v1")
    await names.find(APP)
    clock.now += SEEN_FOR_S
    other = Repository("other")
    await driver.write(layout.tag_current(other, Tag("v1")), LINK)
    assert await names.find(other) == ["v1"]
    assert list(names._seen) == [other]


async def test_links_are_read_as_they_are_now(driver: Watched, names: TagNames) -> None:
    driver.seed("v1", "v2", "v3")
    await names.find(APP)
    await driver.write(layout.tag_current(APP, Tag("v2")), b"another")
    await driver.delete(layout.tag_current(APP, Tag("v3")))
    found = [pair async for pair in names.read_links(APP)]
    assert found == [("v1", LINK), ("v2", b"another")]
