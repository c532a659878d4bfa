"""A sorted list of marks in a temporary file, of any length, in which single marks are looked up."""

import asyncio
import mmap
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO, Self

from authproxy.maintenance.gc.records import RecordSorter, discard, temporary_file
from authproxy.registry.gc_marks import MARK_BYTES, contains
from authproxy.registry.promises import Condemned
from authproxy.storage import state_layout
from authproxy.storage.driver import Driver, list_all

_MARK = re.compile(f"[0-9a-f]{{{2 * MARK_BYTES}}}")


class ListMissing(Exception):
    """A part of a condemned list is gone."""


class MarkList:
    """Marks in order. Close it."""

    def __init__(self, file: IO[bytes]) -> None:
        """`file` has the marks, sorted, each once; closed with the list. Raises OSError where the disk is full."""
        self._file = file
        try:
            self._file.flush()
            size = self._file.tell()
            self._map: mmap.mmap | bytes = mmap.mmap(self._file.fileno(), size, prot=mmap.PROT_READ) if size else b""
        except BaseException:
            discard(self._file)
            raise

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


async def listed(sorter: RecordSorter, folder: Path | None) -> MarkList:
    """All marks that a sorter has taken. Raises OSError where the temporary file can't be written."""
    return await asyncio.to_thread(_list_now, sorter, folder)


async def read_condemned(driver: Driver, state: Condemned, folder: Path | None) -> MarkList:
    """The list of an epoch. Raises ListMissing where a part of it is gone."""
    file = temporary_file(folder)
    try:
        for shard in sorted(state.shards):
            await asyncio.to_thread(file.write, await _read_part(driver, state.epoch, shard))
    except BaseException:
        discard(file)
        raise
    return MarkList(file)


async def _read_part(driver: Driver, epoch: str, shard: str) -> bytes:
    [part] = await driver.read([state_layout.gc_condemned(epoch, shard)], fresh=True)
    if part is None:
        raise ListMissing
    return part


async def read_revived(driver: Driver, state: Condemned, folder: Path | None) -> MarkList:
    """What was promised again in an epoch."""
    marks = RecordSorter(MARK_BYTES, folder)
    try:
        async for mark in _revived(driver, state):
            marks.add(mark)
        return await listed(marks, folder)
    finally:
        marks.close()


async def _revived(driver: Driver, state: Condemned) -> AsyncIterator[bytes]:
    async for names in list_all(driver, state_layout.gc_revived(state.epoch)):
        for name in filter(_MARK.fullmatch, names):
            yield bytes.fromhex(name)


def _list_now(sorter: RecordSorter, folder: Path | None) -> MarkList:
    marks = sorter.finish()
    try:
        file = temporary_file(folder)
        try:
            for mark in marks:
                file.write(mark)
        except BaseException:
            discard(file)
            raise
        return MarkList(file)
    finally:
        marks.close()
