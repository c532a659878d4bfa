"""The order of names: bytewise over whole names, whatever folders they make."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from authproxy.reference import Repository
from authproxy.registry import repository_walk as repositories
from authproxy.registry.repository_walk import all_repositories, find_repositories
from authproxy.storage import layout
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.memory import MemoryDriver

# Few letters and every separator, so that names are parts of each other.
NAMES = st.from_regex(r"[ab](?:[-._]?[a0])?(?:/[ab](?:[-.][a0])?){0,2}", fullmatch=True)


async def seed(driver: Driver, name: str, folder: str = layout.LAYERS) -> None:
    await driver.write(layout.StorePath(f"{layout.repository(Repository(name))}/{folder}/x"), b"")


@given(
    names=st.sets(NAMES, max_size=12),
    after=NAMES | st.text(max_size=4) | st.text("ab/,-.0!", max_size=4),
    limit=st.integers(0, 13),
)
@example(names={"a/a"}, after="a,", limit=13)
@settings(deadline=None)
async def test_names_come_in_order_from_anywhere(names: set[str], after: str, limit: int) -> None:
    driver = MemoryDriver()
    for name in names:
        await seed(driver, name)
    expected = sorted(n for n in names if n > after)
    assert await find_repositories(driver, after=after, limit=limit) == expected[:limit]


@given(names=st.sets(NAMES, max_size=12), after=NAMES)
@settings(deadline=None)
async def test_names_come_in_order_from_folders_of_more_than_one_look(names: set[str], after: str) -> None:
    driver = MemoryDriver()
    for name in names:
        await seed(driver, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repositories, "LOOK", 2)
        found = await find_repositories(driver, after=after, limit=100)
    assert found == sorted(n for n in names if n > after)


@pytest.mark.parametrize("folder", [layout.LAYERS, f"{layout.MANIFESTS}/{layout.REVISIONS}"])
async def test_blobs_alone_or_manifests_alone_make_a_repository(folder: str) -> None:
    """CNCF Distribution 2.8 knows it by the one, 3.x by the other."""
    driver = MemoryDriver()
    await seed(driver, "team/app", folder)
    assert await find_repositories(driver, limit=2) == ["team/app"]


@pytest.mark.parametrize("folder", ["_uploads", "_referrers", "Upper", "la te"])
async def test_other_folders_make_none(folder: str) -> None:
    driver = MemoryDriver()
    await seed(driver, "team/app", folder)
    assert await find_repositories(driver, limit=2) == []


class Looks(MemoryDriver):
    """Remembers which folders were listed."""

    def __init__(self) -> None:
        super().__init__()
        self.folders: list[str] = []

    async def list_names(self, folder: layout.StorePath, *, after: str = "", limit: int = 1000) -> list[str]:
        self.folders.append(folder.removeprefix(layout.repositories()).removeprefix("/"))
        return await super().list_names(folder, after=after, limit=limit)


async def test_a_page_looks_into_the_folders_of_its_own_names() -> None:
    driver = Looks()
    for number in range(30):
        await seed(driver, f"r-{number:02}")
        await seed(driver, f"org/app-{number:02}")
    assert await find_repositories(driver, after="org/app-09", limit=2) == ["org/app-10", "org/app-11"]
    above = ["", "org", "org"]  # what it is, then what is in it behind `last`
    around = ["org/app", "org/app-09"]  # what is in them can follow `last` too
    assert driver.folders == [*above, *around, "org/app-10", "org/app-11"]


async def test_all_names_come_once_and_the_catalog_shows_links_too(tmp_path: Path) -> None:
    driver = FilesystemDriver(tmp_path, threads=2)
    for name in ("app", "team/app"):
        await seed(driver, name)
    folder = tmp_path / layout.repositories()
    (folder / "alias").symlink_to("app")
    (folder / "team" / "loop").symlink_to("..")
    assert [name async for name in all_repositories(driver)] == ["app", "team/app"]
    assert (await find_repositories(driver, limit=3)) == ["alias", "app", "team/app"]
    await driver.close()
