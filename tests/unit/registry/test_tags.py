"""Tags that go with their manifest: found without reading every link for each of many deletions."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from authproxy.digest import Digest
from authproxy.reference import Repository, Tag
from authproxy.registry.deletions import Deletions
from authproxy.registry.history import Push, entry_of
from authproxy.registry.links import to_link
from authproxy.registry.tags import Tags, index_links
from authproxy.storage import layout
from authproxy.storage.filesystem.driver import FilesystemDriver

APP, OTHER = Repository("team/app"), Repository("team/other")
ONE, TWO, GONE = Digest.of(b"one"), Digest.of(b"two"), Digest.of(b"gone")


class Counted(FilesystemDriver):
    """Counts the links of tags that are read."""

    links = 0

    async def read(self, paths: Sequence[layout.StorePath], *, fresh: bool = False) -> list[bytes | None]:
        self.links += sum(path.endswith("/current/link") for path in paths)
        return await super().read(paths, fresh=fresh)

    async def tag(self, repository: Repository, **tags: Digest) -> None:
        """Set tags."""
        for name, digest in tags.items():
            pointer = (layout.tag_current(repository, Tag(name)), to_link(digest))
            await self.write_all([index_links(repository, [Tag(name)], digest), [pointer]])


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[Counted]:
    made = Counted(tmp_path, threads=4)
    yield made
    await made.close()


@pytest.fixture
def tags(driver: Counted) -> Tags:
    return Tags(driver, max_page=1000)


async def names(tags: Tags, repository: Repository = APP) -> list[str]:
    return sorted([tag async for tag, _ in tags.links(repository)])


async def remove_all(tags: Tags, digests: Sequence[Digest]) -> None:
    """Remove the tags of these manifests, as a deletion does."""
    async with Deletions(tags._driver).begin(APP, digests) as deletion:
        for tag, link in (await tags.pointing_at(APP, digests)).items():
            await tags.remove(deletion, APP, tag, link)


async def test_the_tags_of_a_manifest_go_and_no_others(driver: Counted, tags: Tags) -> None:
    await driver.tag(APP, a=ONE, b=TWO, c=ONE)
    await driver.tag(OTHER, a=ONE)
    await remove_all(tags, [ONE, GONE])
    assert (await names(tags), await names(tags, OTHER)) == (["b"], ["a"])


async def test_links_are_read_once_for_manifests_without_tags(driver: Counted, tags: Tags) -> None:
    await driver.tag(APP, a=ONE, b=TWO)
    for number in range(5):
        await remove_all(tags, [Digest.of(b"%d" % number)])
    assert driver.links == 2


async def test_a_tag_that_is_set_meanwhile_goes_too(driver: Counted, tags: Tags, tmp_path: Path) -> None:
    await driver.tag(APP, a=ONE, b=TWO)
    await remove_all(tags, [GONE])
    other = Counted(tmp_path)  # another worker
    await other.tag(APP, c=GONE, a=GONE)
    await remove_all(tags, [GONE])
    assert await names(tags) == ["b"]
    await other.close()


async def test_a_tag_that_was_removed_is_not_found_again(driver: Counted, tags: Tags) -> None:
    await driver.tag(APP, a=ONE)
    await remove_all(tags, [ONE])
    await remove_all(tags, [ONE])
    assert await names(tags) == []


async def test_a_foreign_tag_is_found_after_a_second(
    driver: Counted, tags: Tags, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CNCF Distribution leaves no mark."""
    now = 0.0
    monkeypatch.setattr(driver._cache, "_now", lambda: now)
    await driver.tag(APP, a=ONE)
    await remove_all(tags, [GONE])
    foreign = tmp_path / layout.tag_current(APP, Tag("f"))
    foreign.parent.mkdir(parents=True)
    foreign.write_text(str(TWO))
    now = 1.1
    await remove_all(tags, [TWO])
    assert not foreign.exists()


async def test_links_are_read_once_for_manifests_whose_tags_go(driver: Counted, tags: Tags) -> None:
    digests = [Digest.of(b"%d" % number) for number in range(5)]
    await driver.tag(APP, **{f"t{number}": digest for number, digest in enumerate(digests)})
    driver.links = 0
    for digest in digests:
        await remove_all(tags, [digest])
    # All once; and of each tag what its removal looks at.
    assert driver.links == 5 + 5
    assert await names(tags) == []


async def test_a_foreign_tag_is_found_while_others_are_removed(
    driver: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(driver._cache, "_now", lambda: now)
    tags = Tags(driver, max_page=1000, now=lambda: now)
    digests = [Digest.of(b"%d" % number) for number in range(5)]
    await driver.tag(APP, **{f"t{number}": digest for number, digest in enumerate(digests)})
    await remove_all(tags, digests[:1])
    foreign = tmp_path / layout.tag_current(APP, Tag("f"))
    foreign.parent.mkdir(parents=True)
    foreign.write_text(str(TWO))
    for digest in digests[1:]:  # each removal of our own is new knowledge, but not of all
        now += 0.6
        await remove_all(tags, [digest])
    await remove_all(tags, [TWO])
    assert not foreign.exists()


async def test_a_push_during_a_removal_is_found_by_the_next(
    driver: Counted, tags: Tags, monkeypatch: pytest.MonkeyPatch
) -> None:
    await driver.tag(APP, a=ONE, b=TWO)
    read = driver.read

    async def push_first(paths: Sequence[layout.StorePath], *, fresh: bool = False) -> list[bytes | None]:
        if "new" not in await driver.list_names(layout.tags(APP)):
            await driver.write_all([[_pushed("new", TWO)]])
            await driver.tag(APP, new=TWO)
        return await read(paths, fresh=fresh)

    async with Deletions(driver).begin(APP, [ONE]) as deletion:
        [(tag, link)] = (await tags.pointing_at(APP, [ONE])).items()
        monkeypatch.setattr(driver, "read", push_first)
        await tags.remove(deletion, APP, tag, link)
    monkeypatch.undo()
    await remove_all(tags, [TWO])
    assert await names(tags) == []


def _pushed(tag: str, digest: Digest) -> tuple[layout.StorePath, bytes]:
    return entry_of(APP, Push(digest, Tag(tag), datetime(2026, 1, 1, tzinfo=UTC), "00" * 8), "alice")
