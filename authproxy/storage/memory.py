"""The driver in memory: for tests, and for registries that may lose their content. It behaves as one on a bucket does.

So code that works on it needs no renames, folders, locks or several writes in one step.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from heapq import heappop, heappush
from itertools import islice

from authproxy.clock import Clock
from authproxy.storage.driver import (
    MAX_SMALL_BYTES,
    PIECE_BYTES,
    Fence,
    IsCurrent,
    NotFound,
    Swap,
    WriteGroup,
    list_all,
)
from authproxy.storage.layout import STARTED_FORMAT, UPLOAD_STARTED, StorePath
from authproxy.storage.memory_bucket import Bucket, ConditionFailed, Expired, StoredObject
from authproxy.storage.memory_upload import MemoryUpload, create_record, recorded_size

# How long a fence lasts, in seconds, and how long before its end the bucket refuses its deletions.
FENCE_S = 60.0
MARGIN_S = FENCE_S / 2


class MemoryReader:
    """See `driver.Reader`. The request begins with the first piece."""

    def __init__(self, bucket: Bucket, path: StorePath, opened: StoredObject) -> None:
        self.size = len(opened.content)
        self._bucket = bucket
        self._path = path
        self._etag = opened.etag

    async def pieces(self, first: int, length: int) -> AsyncIterator[bytes]:
        """See `driver.Reader`."""
        found = self._bucket.get(self._path)
        if found is None or found.etag != self._etag:
            raise NotFound
        for offset in range(first, first + length, PIECE_BYTES):
            yield found.content[offset : min(offset + PIECE_BYTES, first + length)]


class MemoryPublication:
    """See `driver.Publication`. Each swap is a request of its own."""

    def __init__(self, driver: "MemoryDriver", swaps: Sequence[Swap]) -> None:
        self._driver = driver
        self._swaps = swaps

    async def move(self) -> list[bool]:
        """See `driver.Publication`."""
        return [
            await self._driver.replace(swap.path, swap.content, expected=swap.expected, until=swap.until)
            for swap in self._swaps
        ]


class MemoryDriver:
    """See `driver.Driver`. Durable here means: for as long as the process lives."""

    fence_s = FENCE_S

    def __init__(self, *, clock_s: Clock = time.monotonic) -> None:
        self._bucket = Bucket(clock_s)
        self._held: set[str] = set()

    async def read(
        self,
        paths: Sequence[StorePath],
        *,
        fresh: bool = False,  # noqa: ARG002 - nothing is cached
    ) -> list[bytes | None]:
        """See `driver.Driver`."""
        found = [self._bucket.get(path) for path in paths]
        return [
            stored.content if stored is not None and len(stored.content) <= MAX_SMALL_BYTES else None
            for stored in found
        ]

    def content_check(self, contents: WriteGroup) -> IsCurrent | None:
        """See `driver.Driver`. In a process's own memory it costs no request."""

        def is_current(path: StorePath, content: bytes) -> bool:
            found = self._bucket.get(path)
            return found is not None and found.content == content

        return lambda: all(is_current(path, content) for path, content in contents)

    def folder_check(self, folder: StorePath) -> None:  # noqa: ARG002 - a bucket has no folders
        """See `driver.Driver`."""
        return

    async def sizes(self, paths: Sequence[StorePath]) -> list[int | None]:
        """See `driver.Driver`."""
        found = [self._bucket.get(path) for path in paths]
        return [None if stored is None else len(stored.content) for stored in found]

    async def version(self, path: StorePath) -> str | None:
        """See `driver.Driver`."""
        found = self._bucket.get(path)
        return None if found is None else found.etag

    async def drop_cached(self, path: StorePath) -> None:
        """See `driver.Driver`. Nothing is cached."""

    async def list_names(self, folder: StorePath, *, after: str = "", limit: int = 1000) -> list[str]:
        """See `driver.Driver`."""
        # A name that is bytewise after another has a key greater than that name without a slash: `a-b/` is before `a/`.
        prefix = f"{folder}/"
        names = _in_order(self._bucket.list_names(prefix, f"{prefix}{after}"))
        return list(islice((name for name in names if name > after), limit))

    def scan_names(self, folder: StorePath) -> AsyncIterator[list[str]]:
        """See `driver.Driver`."""
        return list_all(self, folder)

    async def own_names(self, folder: StorePath, names: Sequence[str]) -> list[str]:  # noqa: ARG002 - it has no links
        """See `driver.Driver`."""
        return list(names)

    async def write(self, path: StorePath, content: bytes) -> None:
        """See `driver.Driver`."""
        self._bucket.put(path, content)

    async def write_all(self, groups: Sequence[WriteGroup]) -> None:
        """See `driver.Driver`. Others may read and write between any two."""
        for group in groups:
            for path, content in group:
                self._bucket.put(path, content)
                await asyncio.sleep(0)

    @asynccontextmanager
    async def publish(
        self, groups: Sequence[WriteGroup], swaps: Sequence[Swap] = ()
    ) -> AsyncIterator["MemoryPublication"]:
        """See `driver.Driver`."""
        await self.write_all(groups)
        yield MemoryPublication(self, swaps)

    async def replace(
        self, path: StorePath, content: bytes, *, expected: bytes | None, until: float = math.inf
    ) -> bool:
        """See `driver.Driver`."""
        found = self._bucket.get(path)
        if (None if found is None else found.content) != expected:
            return False
        await asyncio.sleep(0)  # others may write between the two requests
        try:
            if found is None:
                self._bucket.put(path, content, if_absent=True, until=until)
            else:
                self._bucket.put(path, content, if_match=found.etag, until=until)
        except (ConditionFailed, Expired):
            return False
        return True

    async def delete(self, path: StorePath, *, expected: bytes | None = None) -> bool:
        """See `driver.Driver`."""
        if expected is not None:
            return await self.replace(path, b"", expected=expected)
        was_there = self._bucket.get(path) is not None
        await asyncio.sleep(0)
        self._bucket.delete(path)
        return was_there

    async def delete_fenced(self, path: StorePath, fence: Fence, *, expected: bytes | None = None) -> bool:
        """See `driver.Driver`. The bucket can't compare the record: it refuses the deletion after the fence's end."""
        found = self._bucket.get(path)
        if expected is not None and (found is None or found.content != expected):
            return False
        if await self.read([fence.record]) != [fence.content]:
            return False
        await asyncio.sleep(0)
        try:
            if expected is not None and found is not None:
                self._bucket.put(path, b"", if_match=found.etag, until=fence.until - MARGIN_S)
            else:
                self._bucket.delete(path, until=fence.until - MARGIN_S)
        except (ConditionFailed, Expired):
            return False
        return True

    def clock_s(self) -> float:
        """See `driver.Driver`."""
        return self._bucket.clock_s()

    async def delete_tree(self, folder: StorePath) -> bool:
        """See `driver.Driver`."""
        below = list(self._bucket.list_keys(f"{folder}/"))
        for key in below:
            self._bucket.delete(key)
            await asyncio.sleep(0)
        return bool(below)

    async def remove_empty_folders(self, folders: Sequence[StorePath]) -> None:
        """See `driver.Driver`. A folder of a bucket exists as long as it has content."""

    @asynccontextmanager
    async def open_reader(
        self,
        path: StorePath,
        first: int = 0,  # noqa: ARG002 - nothing is read ahead
        length: int | None = None,  # noqa: ARG002
    ) -> AsyncIterator[MemoryReader]:
        """See `driver.Driver`."""
        found = self._bucket.get(path)
        if found is None:
            raise NotFound
        yield MemoryReader(self._bucket, path, found)

    @asynccontextmanager
    async def create_upload(
        self, session: StorePath, *, started: datetime, target: StorePath | None = None
    ) -> AsyncIterator[MemoryUpload]:
        """See `driver.Driver`."""
        self._bucket.put(f"{session}/{UPLOAD_STARTED}", started.strftime(STARTED_FORMAT).encode())
        create_record(self._bucket, session)
        async with self.open_upload(session, wait_s=0.0, target=target) as upload:
            yield upload

    @asynccontextmanager
    async def open_upload(
        self,
        session: StorePath,
        *,
        wait_s: float,  # noqa: ARG002 - there is no lock to wait for
        target: StorePath | None = None,
    ) -> AsyncIterator[MemoryUpload]:
        """See `driver.Driver`. Two requests may open one session: the second to leave or commit it is refused."""
        upload = MemoryUpload(self._bucket, session, target, self._turn)
        try:
            yield upload
        finally:
            upload.close()

    async def _turn(self) -> None:
        """Between two requests. It doesn't suspend, so that a commit can't be cancelled in the middle."""

    async def upload_size(self, session: StorePath) -> int:
        """See `driver.Driver`."""
        return recorded_size(self._bucket, session)

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """See `driver.Driver`."""
        if name in self._held:
            raise BlockingIOError
        self._held.add(name)
        try:
            yield
        finally:
            self._held.discard(name)

    def is_held(self, name: str) -> bool:
        """See `driver.Driver`."""
        return name in self._held

    async def close(self) -> None:
        """See `driver.Driver`."""
        self._bucket = Bucket(self._bucket.clock_s)


def _in_order(listed: Iterator[str]) -> Iterator[str]:
    """Sort into bytewise order what a bucket lists by key: it lists `a-b/` before `a/`, but `a` comes before `a-b`.

    So a name waits until none of its own beginnings can follow.
    """
    waiting: list[str] = []
    for entry in listed:
        while waiting and not _may_still_follow(waiting[0], entry):
            yield from _pop(waiting)
        heappush(waiting, entry.removesuffix("/"))
    while waiting:
        yield from _pop(waiting)


def _may_still_follow(name: str, entry: str) -> bool:
    """Whether a beginning of `name` may be listed after `entry`."""
    return any(character < "/" and f"{name[:length]}/" >= entry for length, character in enumerate(name) if length)


def _pop(waiting: list[str]) -> Iterator[str]:
    """The smallest name, once, even where it is both a key and a prefix."""
    name = heappop(waiting)
    while waiting and waiting[0] == name:
        heappop(waiting)
    yield name
