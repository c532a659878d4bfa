from pathlib import Path

import pytest

from authproxy.digest import Digest
from authproxy.reference import Repository
from authproxy.registry.repository_walk import find_repositories
from authproxy.registry.tag_list import TagNames
from authproxy.storage import layout
from authproxy.storage.filesystem.driver import FilesystemDriver
from benchmarks.scale import percentile
from benchmarks.seed import SmallImage, seed, tag_name

PERCENTILES = [
    ([7.0], 99, 7.0),
    ([3.0, 1.0, 2.0], 50, 2.0),
    ([float(number) for number in range(1, 301)], 99, 297.0),
    ([float(number) for number in range(1, 301)], 50, 150.0),
]


@pytest.mark.parametrize(("values", "percent", "expected"), PERCENTILES)
def test_a_percentile_is_a_value_that_was_measured(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected


async def test_what_is_seeded_is_what_a_server_serves(tmp_path: Path) -> None:
    image, name = SmallImage.create(), Repository("bench/tags-12")
    seed(tmp_path, name, image, 12)
    seed(tmp_path, "r-0", image, 1)
    driver = FilesystemDriver(tmp_path)
    assert await find_repositories(driver, limit=3) == [name, "r-0"]
    tags = await TagNames(driver).find(name)
    assert tags == [tag_name(number) for number in range(12)]
    digest = Digest.of(image.manifest)
    assert await driver.read(
        [layout.tag_current(name, tags[-1]), layout.revision_link(name, digest), layout.blob(digest)]
    ) == [str(digest).encode(), str(digest).encode(), image.manifest]
    assert await driver.sizes([layout.blob(Digest.of(image.blob))]) == [len(image.blob)]
    await driver.close()


def test_tags_sort_as_their_numbers_do() -> None:
    names = [tag_name(number) for number in (0, 9, 10, 99, 100, 99_999, 100_000)]
    assert names == sorted(names)
