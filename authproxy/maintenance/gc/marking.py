"""The marking: one pass over a storage, which finds what nothing reaches. It only reads.

It takes place beside pushes, deletions and another program's writes. So a candidate is no proof: what may be removed
when, docs/explanation/garbage-collection.md says.
"""

import asyncio
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self, TypeAlias

from authproxy.digest import Digest
from authproxy.maintenance.gc.findings import (
    LEFT,
    NOWHERE,
    Candidate,
    Findings,
    Notice,
    Reason,
    RepositoryFindings,
    Stray,
    Totals,
    split_link,
)
from authproxy.maintenance.gc.options import MarkingOptions
from authproxy.maintenance.gc.pace import Pace
from authproxy.maintenance.gc.records import RecordSorter, SortedRecords
from authproxy.maintenance.gc.repositories import find_all
from authproxy.maintenance.gc.repository_marking import RepositoryMarking
from authproxy.maintenance.gc.store_reading import Incomplete, Reads, StoreReader
from authproxy.registry.gc_marks import Kind, mark_of
from authproxy.storage import layout, state_layout
from authproxy.storage.driver import Driver
from authproxy.storage.layout import StorePath

# Records between two turns of others.
TURN = 512

_BLOB = struct.Struct(">32sQ")  # digest, size in bytes
_SHARD = re.compile("[0-9a-f]{2}")
_HEX = re.compile("[0-9a-f]{64}")


class Marking:
    """What a complete marking has found. Its lists lie in temporary files, until `close`."""

    def __init__(self, findings: Findings, candidates: SortedRecords, reads: Reads) -> None:
        self._findings = findings
        self._candidates = candidates
        self.reads = reads

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._candidates)

    @property
    def totals(self) -> Totals:
        """Counts of all repositories."""
        return self._findings.totals

    @property
    def notices(self) -> list[Notice]:
        """What an operator should know; `more_notices` counts those that are left out."""
        return self._findings.notices

    @property
    def more_notices(self) -> int:
        """How many notices are left out."""
        return self._findings.more_notices

    def candidates(self) -> Iterator[Candidate]:
        """What nothing reaches, in the order of the marks. One iterator at a time."""
        return map(self._findings.to_candidate, self._candidates)

    def strays(self) -> Iterator[tuple[Stray, StorePath]]:
        """Leftovers that no mark is of."""
        return self._findings.strays()

    def repositories(self) -> Iterator[RepositoryFindings]:
        """The report: repositories from which something would go, or that are kept whole; the most bytes first."""
        return self._findings.repositories()

    def close(self) -> None:
        """Release the temporary files."""
        self._candidates.close()
        self._findings.close()


async def mark(
    driver: Driver,
    options: MarkingOptions | None = None,
    *,
    pace: Pace | None = None,
    folder: Path | None = None,
    progress: Callable[[Totals], object] = lambda _: None,
) -> Marking:
    """Mark a whole storage. `folder`: for temporary files.

    `progress` is called with the counts so far, after each repository and each thousand blobs. Raises Incomplete where
    anything can't be read: then nothing may be collected. Raises OSError where a temporary file can't be written.
    """
    options = options or MarkingOptions()
    reader = StoreReader(driver, pace or Pace())
    findings = Findings(folder, run=options.run)
    blobs = RecordSorter(_BLOB.size, folder, run=options.run)
    try:
        await _list_blobs(reader, findings, blobs, progress)
        async for found in find_all(reader):
            await RepositoryMarking(reader, found, findings, options, folder).run()
            progress(findings.totals)
        await _keep_damaged(reader, findings)
        await _decide_bytes(reader, findings, options, blobs)
        if reader.reads.foreign_names:
            findings.notice("", f"{reader.reads.foreign_names} names that are not UTF-8 were not looked into")
        candidates = await asyncio.to_thread(findings.finish)
    except BaseException:
        findings.close()
        raise
    finally:
        blobs.close()
    return Marking(findings, candidates, reader.reads)


async def _list_blobs(
    reader: StoreReader, findings: Findings, blobs: RecordSorter, progress: Callable[[Totals], object]
) -> None:
    """Before all links: a push writes the bytes first, so that the links of what is listed are seen."""
    totals = findings.totals
    async for shards in reader.names(layout.blob_shards("sha256")):
        for shard in shards:
            if not _SHARD.fullmatch(shard):
                findings.notice("", f"blobs/sha256/{shard} is no folder of blobs; it is kept")
                continue
            async for names in reader.names(layout.blobs("sha256", shard)):
                known = [name for name in names if _HEX.fullmatch(name) and name.startswith(shard)]
                for name in set(names).difference(known):
                    findings.notice("", f"blobs/sha256/{shard}/{name} is no blob; it is kept")
                paths = [layout.blob(Digest("sha256", name)) for name in known]
                for name, path, size in zip(known, paths, await reader.sizes(paths), strict=True):
                    if size is None:
                        findings.add_stray(Stray.EMPTY_FOLDER, path)
                        continue
                    blobs.add(_BLOB.pack(bytes.fromhex(name), size))
                    totals.blobs += 1
                    totals.bytes += size
                progress(totals)


async def _keep_damaged(reader: StoreReader, findings: Findings) -> None:
    """What is in quarantine."""
    async for names in reader.names(state_layout.quarantine("sha256")):
        for name in filter(_HEX.fullmatch, names):
            findings.keep(bytes.fromhex(name))


async def _decide_bytes(reader: StoreReader, findings: Findings, options: MarkingOptions, blobs: RecordSorter) -> None:
    """Bytes are kept where one link to them is kept, or where their mark was revived."""
    listed = await asyncio.to_thread(blobs.finish)
    links = await asyncio.to_thread(findings.links.finish)
    try:
        following = map(split_link, links)
        link = next(following, None)
        for turn, record in enumerate(listed):
            stored, size = _BLOB.unpack(record)
            while link is not None and link[0] < stored:
                link = next(following, None)
            is_linked = link is not None and link[0] == stored
            if link is None or not is_linked or link[1] == LEFT:
                mark_of_it = mark_of(Kind.BYTES, None, Digest("sha256", stored.hex()))
                if not options.is_revived(mark_of_it):
                    findings.leave_bytes(Reason.LINKS_GO if is_linked else Reason.UNLINKED, stored, size, mark_of_it)
                    link = _count(findings, stored, size, link, following)
            if turn % TURN == 0:
                await reader.rest()
    finally:
        listed.close()
        links.close()


_Link: TypeAlias = tuple[bytes, bytes, int]


def _count(
    findings: Findings, stored: bytes, size: int, link: _Link | None, following: Iterator[_Link]
) -> _Link | None:
    """Count a candidate's bytes for each repository with links to it. Returns the next link to other bytes."""
    first = previous = NOWHERE
    is_shared = False
    while link is not None and link[0] == stored:
        number = link[2]
        if first == NOWHERE:
            first = number
        elif number != previous:
            if not is_shared:
                is_shared = True
                findings.count_freed(first, size, is_shared=True)
            findings.count_freed(number, size, is_shared=True)
        previous = number
        link = next(following, None)
    if first != NOWHERE and not is_shared:
        findings.count_freed(first, size, is_shared=False)
    return link


__all__ = ["Incomplete", "Marking", "mark"]
