"""Names in a folder of any size."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from authproxy.reference import Repository
from authproxy.storage import layout
from authproxy.storage.filesystem.driver import FilesystemDriver


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[FilesystemDriver]:
    made = FilesystemDriver(tmp_path / "root", threads=2)
    yield made
    await made.close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def names(driver: FilesystemDriver) -> set[str]:
    return {name async for batch in driver.scan_names(layout.repositories()) for name in batch}


async def test_names_with_a_leading_dot_are_left_out(driver: FilesystemDriver, tmp_path: Path) -> None:
    for name in (".hidden", "app"):
        (tmp_path / "root" / layout.repositories() / name).mkdir(parents=True)
    assert await names(driver) == {"app"}


async def test_links_that_lead_back_are_left_out_and_others_are_not(driver: FilesystemDriver, tmp_path: Path) -> None:
    folder = tmp_path / "root" / layout.repositories()
    (folder / "app").mkdir(parents=True)
    (tmp_path / "other disk").mkdir()
    (tmp_path / "root2").mkdir()
    for name, target in {
        "parent": "..",
        "itself": ".",
        "sibling": "app",
        "all": "/",
        "disk": str(tmp_path / "other disk"),
        "like": str(tmp_path / "root2"),
        "nowhere": "missing",
    }.items():
        (folder / name).symlink_to(target)
    assert await names(driver) == {"app", "disk", "like", "nowhere"}


async def test_a_link_to_a_folder_of_the_storage_without_another_name_is_followed(
    driver: FilesystemDriver, tmp_path: Path
) -> None:
    root, folder = tmp_path / "root", tmp_path / "root" / layout.repositories()
    (folder / "app" / "_uploads").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    (root / "disk").mkdir()
    (folder / "moved").symlink_to(root / "disk")
    (folder / "unhidden").symlink_to(".hidden")
    (folder / "uploads").symlink_to("app/_uploads")
    assert await names(driver) == {"app", "moved", "unhidden", "uploads"}


async def test_a_link_to_where_the_walk_has_come_from_is_left_out(driver: FilesystemDriver, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two, tmp_path / "root" / layout.repositories()):
        folder.mkdir(parents=True)
    (tmp_path / "root" / layout.repositories() / "one").symlink_to(one)
    (one / "two").symlink_to(two)
    (two / "one").symlink_to(one)
    walked = [
        [name async for batch in driver.scan_names(layout.repository(Repository(each))) for name in batch]
        for each in ("one", "one/two")
    ]
    assert walked == [["two"], []]


@pytest.mark.parametrize(("below", "expected"), [("_layers", []), ("_manifests", ["link"])])
async def test_what_is_said_by_a_path_counts_under_each_name(
    driver: FilesystemDriver, tmp_path: Path, below: str, expected: list[str]
) -> None:
    repositories = tmp_path / "root" / layout.repositories()
    (repositories / "a" / below / "own").mkdir(parents=True)
    (repositories / "b" / below).mkdir(parents=True)
    (repositories / "b" / below / "link").symlink_to(repositories / "a" / below / "own")
    folder = layout.StorePath(f"{layout.repository(Repository('b'))}/{below}")
    assert [name async for batch in driver.scan_names(folder) for name in batch] == expected
    assert await driver.own_names(folder, ["link", "missing"]) == [*expected, "missing"]


async def test_a_link_to_a_disk_that_is_not_mounted_is_not_absence(driver: FilesystemDriver, tmp_path: Path) -> None:
    folder = tmp_path / "root" / layout.repositories()
    folder.mkdir(parents=True)
    (tmp_path / "mount point").mkdir()
    (folder / "team").symlink_to(tmp_path / "missing")
    (folder / "app").symlink_to(tmp_path / "mount point")
    for name, why in (("team", "leads nowhere"), ("team/app/_layers", "leads nowhere"), ("app", "empty folder")):
        with pytest.raises(OSError, match=why):
            await anext(aiter(driver.scan_names(layout.repository(Repository(name)))))


async def test_a_scan_that_ends_early_closes_its_folder(driver: FilesystemDriver, tmp_path: Path) -> None:
    folder = tmp_path / "root" / layout.repositories()
    folder.mkdir(parents=True)
    for number in range(1500):
        (folder / f"r{number}").mkdir()
    before = open_files()
    scan = driver.scan_names(layout.repositories())
    assert len(await anext(scan)) == 1000
    await scan.aclose()  # type: ignore[attr-defined]
    assert open_files() == before


async def test_an_error_is_not_absence(driver: FilesystemDriver, tmp_path: Path) -> None:
    folder = tmp_path / "root" / layout.repositories()
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(folder)
    with pytest.raises(OSError, match="symbolic links"):
        await names(driver)
