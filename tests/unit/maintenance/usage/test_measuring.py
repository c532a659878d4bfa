"""Measuring any small storage finds exactly what an obvious computation finds."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.digest import Digest
from authproxy.maintenance.usage.measuring import Usage, measure
from authproxy.reference import Repository
from authproxy.registry.trash import Links, Trash
from authproxy.storage import layout
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.memory import MemoryDriver
from tests.support.gc_store import GcStore

A, AB, AC, B, BXY = REPOSITORIES = tuple(map(Repository, ("a", "a/b", "a/c", "b", "b/x/y")))
SIZES = (0, 1, 10, 100, 1000, 10_000)
CONTENTS = [bytes([number]) * size if size else b"" for number, size in enumerate(SIZES)]


@pytest.fixture(params=["filesystem", "memory"])
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    made: Driver = FilesystemDriver(tmp_path, threads=4) if request.param == "filesystem" else MemoryDriver()
    yield made
    await made.close()


def bytes_of(usage: Usage) -> dict[str, tuple[int, int]]:
    spaces = [*usage.spaces.repositories(), *usage.spaces.namespaces()]
    assert len({space.name for space in spaces}) == len(spaces)
    return {space.name: (space.own_bytes, space.shared_bytes) for space in spaces}


async def test_own_and_shared_bytes_uploads_trash_and_what_nothing_links_to(driver: Driver) -> None:
    store = GcStore(driver)
    pushed = await store.push_image("one", "v1", "v2", repository=AB)
    shared = await store.put_blob(b"s" * 1000, AB)
    await store.link_layer(shared, AC)
    await store.link_layer(Digest.of(b"s" * 1000, "sha512"), AC, shared)  # a second name of it
    everywhere = await store.put_blob(b"e" * 5000, AB)
    await store.link_layer(everywhere, B)
    await store.put_bytes(b"u" * 30)
    trashed = await store.put_bytes(b"t" * 7)
    links = Links(layers={trashed: trashed, shared: shared})
    await Trash(driver).record(AC, links, at=datetime.now(UTC), by="", why="")
    async with driver.create_upload(layout.upload(BXY, UUID(int=1)), started=datetime.now(UTC)) as upload:
        await upload.write(b"x" * 11)
    await driver.write(layout.layer_link(AB, Digest.of(b"damaged")), b"nonsense")
    await driver.write(layout.layer_link(AB, Digest.of(b"gone")), str(Digest.of(b"gone")).encode())
    sizes = await driver.sizes([layout.blob(digest) for digest in (pushed.manifest, pushed.config, pushed.layer)])
    own = sum(size or 0 for size in sizes)
    with await measure(driver) as usage:
        assert bytes_of(usage) == {
            "a/b": (own, 6000),
            "a/c": (0, 1000),
            "b": (0, 5000),
            "b/x/y": (0, 0),
            "a/": (own + 1000, 5000),
            "b/": (0, 0),
            "b/x/": (0, 0),
        }
        counts = {
            space.name: (space.tags, space.manifests, space.repositories) for space in usage.spaces.repositories()
        }
        assert counts["a/b"] == (2, 1, 1)
        assert {space.name: space.repositories for space in usage.spaces.namespaces()} == {"a/": 2, "b/": 1, "b/x/": 1}
        assert {space.name: space.upload_bytes for space in usage.spaces.namespaces()} == {
            "a/": 0,
            "b/": 11,
            "b/x/": 11,
        }
        totals = usage.totals
        assert (totals.blobs, totals.bytes) == (7, own + 6000 + 30 + 7)
        assert (totals.unlinked_blobs, totals.unlinked_bytes) == (1, 30)
        assert (totals.trash_blobs, totals.trash_bytes) == (1, 7)
        assert (totals.uploads, totals.upload_bytes) == (1, 11)


STORES = st.tuples(
    st.sets(st.tuples(st.integers(0, 4), st.integers(0, 5))),  # links: which repository, which content
    st.sets(st.integers(0, 5)),  # stored contents
    st.sets(st.integers(0, 5)),  # what the trash holds
)


@given(STORES)
def test_bytes_are_those_of_an_obvious_computation(
    store: tuple[set[tuple[int, int]], set[int], set[int]],
) -> None:
    asyncio.run(_compare(*store))


async def _compare(links: set[tuple[int, int]], stored: set[int], trashed: set[int]) -> None:
    driver = MemoryDriver()
    made = GcStore(driver)
    for content in stored:
        await made.put_bytes(CONTENTS[content])
    for place, content in sorted(links):
        await made.link_layer(Digest.of(CONTENTS[content]), REPOSITORIES[place])
    held = {(digest := Digest.of(CONTENTS[content])): digest for content in trashed}
    await Trash(driver).record(B, Links(layers=held), at=datetime.now(UTC), by="", why="")
    linking: dict[int, set[str]] = defaultdict(set)
    for place, content in links:
        linking[content].add(REPOSITORIES[place])
    expected: dict[str, tuple[int, int]] = {}
    for name in {REPOSITORIES[place] for place, _ in links}:
        parts = name.split("/")
        for space in (name, *("/".join(parts[:depth]) + "/" for depth in range(1, len(parts)))):
            own = shared = 0
            for content in stored:
                inside = {
                    one for one in linking[content] if one == space or (space[-1] == "/" and one.startswith(space))
                }
                own += SIZES[content] if inside and inside == linking[content] else 0
                shared += SIZES[content] if inside and inside != linking[content] else 0
            expected[space] = own, shared
    with await measure(driver, run=3) as usage:
        assert bytes_of(usage) == expected
        free = stored - {content for _, content in links}
        assert usage.totals.bytes == sum(SIZES[content] for content in stored)
        assert usage.totals.unlinked_bytes == sum(SIZES[content] for content in free - trashed)
        assert usage.totals.trash_bytes == sum(SIZES[content] for content in free & trashed)
