"""A sorted list of marks in a temporary file, of any length, in which single marks are looked up."""

import mmap
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Self

from authproxy.maintenance.gc.records import RecordSorter, SortedRecords, discard, temporary_file
from authproxy.registry.gc_marks import MARK_BYTES, contains
from authproxy.registry.promises import Condemned
from authproxy.storage import state_layout
from authproxy.storage.driver import Driver, list_all


class MarkList:
    """Marks in order. Close it."""

    def __init__(self, marks: Iterable[bytes], folder: Path | None = None) -> None:
        """`marks` are sorted, each once. Blocks. Raises OSError where the temporary file can't be written."""
        self._file = temporary_file(folder)
        try:
            for mark in marks:
                self._file.write(mark)
            self._file.flush()
        except BaseException:
            discard(self._file)
            raise
        size = self._file.tell()
        self._map: mmap.mmap | bytes = mmap.mmap(self._file.fileno(), size, prot=mmap.PROT_READ) if size else b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._map) // MARK_BYTES

    def __contains__(self, mark: object) -> bool:
        assert isinstance(mark, bytes)
        return contains(self._map, mark)

    def __iter__(self) -> Iterator[bytes]:
        for first in range(0, len(self._map), MARK_BYTES):
            yield self._map[first : first + MARK_BYTES]

    def close(self) -> None:
        """Release the temporary file."""
        if isinstance(self._map, mmap.mmap):
            self._map.close()
        self._map = b""
        discard(self._file)


async def read_condemned(driver: Driver, state: Condemned, folder: Path | None) -> MarkList:
    """The list of an epoch. Raises ListMissing where a part of it is gone."""
    parts = []
    for shard in sorted(state.shards):
        [part] = await driver.read([state_layout.gc_condemned(state.epoch, shard)], fresh=True)
        if part is None:
            raise ListMissing
        parts.append(part)
    return MarkList(parts, folder)


async def read_revived(driver: Driver, state: Condemned, folder: Path | None) -> MarkList:
    """What was promised again in an epoch."""
    with_marks = RecordSorter(MARK_BYTES, folder)
    try:
        async for mark in _revived(driver, state):
            with_marks.add(mark)
        found: SortedRecords = with_marks.finish()
        try:
            return MarkList(found, folder)
        finally:
            found.close()
    finally:
        with_marks.close()


async def _revived(driver: Driver, state: Condemned) -> AsyncIterator[bytes]:
    async for names in list_all(driver, state_layout.gc_revived(state.epoch)):
        for name in names:
            if len(name) == 2 * MARK_BYTES:
                yield bytes.fromhex(name)


class ListMissing(Exception):
    """A part of a condemned list is gone."""
