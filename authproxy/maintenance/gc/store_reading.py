"""How a marking reads a storage: never from a cache, in batches, and without taking damage for absence.

An error while reading ends the marking, because what could not be read may keep something. Only what can be no content
of a registry, such as a folder in place of a file, counts as damaged.
"""

import errno
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from authproxy.digest import Digest
from authproxy.errors import Unavailable
from authproxy.maintenance.gc.pace import Pace
from authproxy.storage.driver import MAX_SMALL_BYTES, Driver
from authproxy.storage.layout import StorePath

T = TypeVar("T")

# What is read in place of a file that can't be one.
DAMAGED = b"\0"
_NO_FILE = (errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO)

# Manifests are read together up to this many bytes: each may have 8 MiB.
MAX_READ_BYTES = MAX_SMALL_BYTES


class Incomplete(Exception):
    """The marking couldn't read all of the storage, so nothing may be collected by it. The message says why."""


@dataclass(slots=True)
class Reads:
    """What was asked of the storage."""

    listings: int = 0
    contents: int = 0
    sizes: int = 0
    foreign_names: int = 0
    """Names that are not text: no registry made them."""


class StoreReader:
    """Reads for one marking. Raises Incomplete."""

    def __init__(self, driver: Driver, pace: Pace) -> None:
        self._driver = driver
        self._pace = pace
        self.reads = Reads()

    async def names(self, folder: StorePath) -> AsyncIterator[list[str]]:
        """The names in a folder, in any order, in batches."""
        try:
            async for batch in self._driver.scan_names(folder):
                self.reads.listings += 1
                names = [name for name in batch if _is_text(name)]
                self.reads.foreign_names += len(batch) - len(names)
                yield names
                await self._pace.rest()
            self.reads.listings += 1
        except (OSError, Unavailable) as error:
            raise Incomplete(_reason(error, folder)) from error

    async def contents(self, paths: Sequence[StorePath]) -> list[bytes | None]:
        """Small contents as they are now; None where there is none, or too much."""
        self.reads.contents += len(paths)
        return await self._each(paths, lambda some: self._driver.read(some, fresh=True), DAMAGED)

    async def sizes(self, paths: Sequence[StorePath]) -> list[int | None]:
        """Sizes in bytes; None where there is no content."""
        self.reads.sizes += len(paths)
        return await self._each(paths, self._driver.sizes, 0)

    async def links(
        self, folder: StorePath, folder_of: Callable[[str], StorePath], path_of: Callable[[Digest], StorePath]
    ) -> AsyncIterator[list[tuple[Digest, bytes | None]]]:
        """Every link in the folders of algorithms below `folder`, with its content, in batches.

        The digests are the names of folders, whatever these are.
        """
        async for algorithms in self.names(folder):
            for algorithm in algorithms:
                async for names in self.names(folder_of(algorithm)):
                    digests = [Digest(algorithm, name) for name in names]
                    contents = await self.contents([path_of(digest) for digest in digests])
                    yield list(zip(digests, contents, strict=True))

    async def manifests(
        self, stored: Sequence[Digest], path_of: Callable[[Digest], StorePath]
    ) -> AsyncIterator[tuple[int, bytes | None]]:
        """The place in `stored` of each manifest, with its bytes; None where there is none, or too much."""
        paths = [path_of(digest) for digest in stored]
        sizes = await self.sizes(paths)
        first = total = 0
        for place, size in enumerate(sizes):
            if total and total + (size or 0) > MAX_READ_BYTES:
                for found in zip(range(first, place), await self.contents(paths[first:place]), strict=True):
                    yield found
                await self._pace.rest()
                first, total = place, 0
            total += size or 0
        for found in zip(range(first, len(paths)), await self.contents(paths[first:]), strict=True):
            yield found
        await self._pace.rest()

    async def rest(self) -> None:
        """Give others a turn."""
        await self._pace.rest()

    async def _each(
        self, paths: Sequence[StorePath], read: Callable[[Sequence[StorePath]], Awaitable[list[T]]], damaged: T
    ) -> list[T]:
        """Read all at once; one by one where one of them can be no file."""
        try:
            try:
                return await read(paths)
            except OSError as error:
                if error.errno not in _NO_FILE:
                    raise
            return [await self._one(path, read, damaged) for path in paths]
        except (OSError, Unavailable) as error:
            raise Incomplete(_reason(error, paths[0] if paths else "")) from error

    async def _one(self, path: StorePath, read: Callable[[Sequence[StorePath]], Awaitable[list[T]]], damaged: T) -> T:
        try:
            [found] = await read([path])
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            return damaged
        return found


def _is_text(name: str) -> bool:
    return name.isascii() or _encodes(name)


def _encodes(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _reason(error: Exception, path: str) -> str:
    if isinstance(error, OSError):
        return (
            f"{error.filename or path} can't be read ({error.strerror or error}); nothing may be collected until it can"
        )
    return f"{path} can't be read ({error}); nothing may be collected until it can"
