"""Drivers that are full from some write on: writes raise StorageFull, reads and removals go on, as on a full disk."""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from authproxy.storage.driver import StorageFull, Swap, WriteGroup
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.layout import StorePath
from authproxy.storage.memory import MemoryDriver


class _MayBeFull:
    """`room`: how many writes still fit."""

    room = math.inf
    writes = 0

    def _take(self) -> None:
        if self.room <= 0:
            raise StorageFull
        self.room -= 1
        self.writes += 1

    async def write(self, path: StorePath, content: bytes) -> None:
        self._take()
        await super().write(path, content)  # type: ignore[misc]  # of the driver that it is mixed into

    async def write_all(self, groups: Sequence[WriteGroup]) -> None:
        self._take()
        await super().write_all(groups)  # type: ignore[misc]

    async def replace(
        self, path: StorePath, content: bytes, *, expected: bytes | None, until: float = math.inf
    ) -> bool:
        self._take()
        done: bool = await super().replace(path, content, expected=expected, until=until)  # type: ignore[misc]
        return done

    @asynccontextmanager
    async def publish(self, groups: Sequence[WriteGroup], swaps: Sequence[Swap] = ()) -> AsyncIterator[Any]:
        self._take()
        async with super().publish(groups, swaps) as published:  # type: ignore[misc]
            yield published


class FullFilesystem(_MayBeFull, FilesystemDriver):
    """A folder that may be full."""


class FullMemory(_MayBeFull, MemoryDriver):
    """A bucket that may be full."""
