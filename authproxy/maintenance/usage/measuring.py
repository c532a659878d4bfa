"""Measuring a storage in one pass: every link is read, every content is sized, and what joins them is sorted on disk.

It runs beside a server and takes no locks: content that is pushed or deleted meanwhile may be counted or not.
"""

import asyncio
import re
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

from authproxy.digest import Digest
from authproxy.maintenance.gc.pace import Pace
from authproxy.maintenance.gc.records import RUN, RecordSorter, SortedRecords
from authproxy.maintenance.gc.repositories import LINKS, UPLOADS, Found, find_all
from authproxy.maintenance.gc.store_reading import Reads, StoreReader
from authproxy.maintenance.usage.spaces import Spaces
from authproxy.reference import Repository, Tag
from authproxy.registry.links import find_digest
from authproxy.registry.trash import Trash
from authproxy.storage import layout, state_layout
from authproxy.storage.driver import Driver, NotFound
from authproxy.storage.layout import StorePath
from authproxy.storage.records import RecordUnreadable

# The stored digest, and the number of the repository that has a link to it.
_LINK = struct.Struct(">32sI")
# In place of a repository's number: the trash. It sorts after all repositories.
_TRASH = 2**32 - 1

_HEX = re.compile(r"[0-9a-f]{64}")
_SHARD = re.compile(r"[0-9a-f]{2}")

# Contents after which others get a turn.
TURN = 1000


@dataclass(slots=True)
class SpaceTotals:
    """Of the whole storage. Sizes are in bytes."""

    blobs: int = 0
    """Stored contents, manifests included."""
    bytes: int = 0
    unlinked_blobs: int = 0
    """Contents that no repository links to, and the trash doesn't either."""
    unlinked_bytes: int = 0
    trash_blobs: int = 0
    """Contents that only the trash links to."""
    trash_bytes: int = 0
    uploads: int = 0
    upload_bytes: int = 0


@dataclass(slots=True)
class Usage:
    """What a measuring found. Close it."""

    spaces: Spaces
    reads: Reads
    totals: SpaceTotals = field(default_factory=SpaceTotals)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.spaces.close()


async def measure(
    driver: Driver,
    *,
    pace: Pace | None = None,
    folder: Path | None = None,
    run: int = RUN,
    progress: Callable[[SpaceTotals], object] = lambda _: None,
) -> Usage:
    """Measure a whole storage. `folder`: for temporary files.

    `run` as of RecordSorter. `progress` is called with the counts so far. Raises Incomplete where anything can't be
    read, and OSError where a temporary file can't be written.
    """
    reader = StoreReader(driver, pace or Pace())
    usage = Usage(Spaces(folder), reader.reads)
    links = RecordSorter(_LINK.size, folder, run=run)
    try:
        async with aclosing(find_all(reader, folders=LINKS | {UPLOADS})) as repositories:
            async for found in repositories:
                await _Repository(driver, reader, found, usage, links).measure()
                progress(usage.totals)
        await _read_trash(driver, reader, links)
        joined = await asyncio.to_thread(links.finish)
        try:
            await _measure_contents(reader, usage, joined, progress)
        finally:
            joined.close()
    except BaseException:
        usage.spaces.close()
        raise
    finally:
        links.close()
    return usage


class _Repository:
    """One repository, while it is measured."""

    def __init__(self, driver: Driver, reader: StoreReader, found: Found, usage: Usage, links: RecordSorter) -> None:
        self._driver = driver
        self._reader = reader
        self._name = found.name
        self._usage = usage
        self._links = links
        self._number = usage.spaces.add(found.name)

    async def measure(self) -> None:
        """Read its links, and count its tags, manifests and uploads."""
        name = self._name
        await self._read_links(layout.layers(name), partial(layout.layer_links, name), partial(layout.layer_link, name))
        manifests = await self._read_links(
            layout.revision_algorithms(name), partial(layout.revisions, name), partial(layout.revision_link, name)
        )
        self._usage.spaces.count(self._number, "manifests", manifests)
        async for names in self._reader.names(layout.tags(name)):
            links = await self._reader.contents([layout.tag_current(name, Tag(tag)) for tag in names])
            self._usage.spaces.count(self._number, "tags", sum(find_digest(link) is not None for link in links))
        await self._measure_uploads()

    async def _read_links(
        self, folder: StorePath, folder_of: Callable[[str], StorePath], path_of: Callable[[Digest], StorePath]
    ) -> int:
        """Take the content that links lead to. Returns how many there are, without second names of the same content."""
        count = 0
        async for batch in self._reader.links(folder, folder_of, path_of):
            for name, content in batch:
                stored = find_digest(content)
                if stored is not None and stored.algorithm == "sha256":
                    self._links.add(_LINK.pack(bytes.fromhex(stored.hex), self._number))
                    count += name.hex == stored.hex
        return count

    async def _measure_uploads(self) -> None:
        folder = layout.uploads(self._name)
        async for sessions in self._reader.names(folder):
            for session in sessions:
                with suppress(NotFound):  # it has ended meanwhile, or a crash left it
                    size = await self._driver.upload_size(StorePath(f"{folder}/{session}"))
                    self._usage.spaces.count(self._number, "upload_bytes", size)
                    self._usage.totals.uploads += 1
                    self._usage.totals.upload_bytes += size


async def _read_trash(driver: Driver, reader: StoreReader, links: RecordSorter) -> None:
    """Take what the trash holds. What a damaged record holds isn't known."""
    trash = Trash(driver)
    async for name in _repositories_in_trash(reader, ""):
        try:
            async for deleted in trash.of(name):
                for stored in deleted.links.stored:
                    if stored.algorithm == "sha256":
                        links.add(_LINK.pack(bytes.fromhex(stored.hex), _TRASH))
        except RecordUnreadable:
            continue


async def _repositories_in_trash(reader: StoreReader, prefix: str) -> AsyncIterator[Repository]:
    folder = StorePath(f"{state_layout.trash()}/{prefix}".removesuffix("/"))
    async for names in reader.names(folder):
        for name in names:
            if name.startswith("_"):
                if prefix:
                    yield Repository(prefix.removesuffix("/"))
            else:
                async for below in _repositories_in_trash(reader, f"{prefix}{name}/"):
                    yield below


async def _measure_contents(
    reader: StoreReader, usage: Usage, links: SortedRecords, progress: Callable[[SpaceTotals], object]
) -> None:
    totals = usage.totals
    following = _groups(links)
    group = next(following, None)
    async for shards in reader.names(layout.blob_shards("sha256")):
        # Each has its own part of the sorted links, and all of them fit in memory.
        for shard in sorted(filter(_SHARD.fullmatch, shards)):
            sizes = await _sizes(reader, shard)
            for turn, stored in enumerate(sorted(sizes)):
                while group is not None and group[0] < stored:
                    group = next(following, None)
                size = sizes[stored]
                totals.blobs += 1
                totals.bytes += size
                if group is None or group[0] != stored:
                    totals.unlinked_blobs += 1
                    totals.unlinked_bytes += size
                elif not group[1]:
                    totals.trash_blobs += 1
                    totals.trash_bytes += size
                else:
                    usage.spaces.add_content(size, group[1])
                if turn % TURN == 0:
                    await reader.rest()
            progress(totals)


async def _sizes(reader: StoreReader, shard: str) -> dict[bytes, int]:
    """The contents in a folder of blobs: of 10⁷ in all, 40,000."""
    found: dict[bytes, int] = {}
    async for names in reader.names(layout.blobs("sha256", shard)):
        known = [name for name in names if _HEX.fullmatch(name) and name.startswith(shard)]
        paths = [layout.blob(Digest("sha256", name)) for name in known]
        for name, size in zip(known, await reader.sizes(paths), strict=True):
            if size is not None:
                found[bytes.fromhex(name)] = size
    return found


def _groups(links: SortedRecords) -> Iterator[tuple[bytes, list[int]]]:
    """Each linked content with the numbers of its repositories; none where only the trash links to it."""
    current, numbers = b"", list[int]()
    for record in links:
        stored, number = _LINK.unpack(record)
        if stored != current:
            if current:
                yield current, numbers
            current, numbers = stored, []
        if number != _TRASH:
            numbers.append(number)
    if current:
        yield current, numbers
