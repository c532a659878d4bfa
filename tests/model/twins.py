"""The twins of the storages: what a bucket and a folder promise, and nothing more, with a turn before each request."""

import math
from collections.abc import Sequence

from authproxy.storage.driver import Fence, WriteGroup
from authproxy.storage.layout import StorePath
from authproxy.storage.memory import MARGIN_S, MemoryDriver
from authproxy.storage.memory_bucket import ConditionFailed, Expired
from tests.model.schedule import Schedule


class BucketTwin(MemoryDriver):
    """Single keys are consistent, nothing spans two; conditions by ETag, which is MD5; no conditional delete.

    `lost_answers`: how often a conditional write takes place and its answer says that it did not, because a library has
    sent it twice.
    """

    def __init__(self, schedule: Schedule, *, lost_answers: float = 0.0) -> None:
        super().__init__(clock_s=schedule.clock_s)
        self._schedule = schedule
        self._lost_answers = lost_answers

    async def _turn(self) -> None:
        await self._schedule.turn()

    async def read(self, paths: Sequence[StorePath], *, fresh: bool = False) -> list[bytes | None]:
        found: list[bytes | None] = []
        for path in paths:
            await self._schedule.turn()
            found += await super().read([path], fresh=fresh)
        return found

    async def sizes(self, paths: Sequence[StorePath]) -> list[int | None]:
        found: list[int | None] = []
        for path in paths:
            await self._schedule.turn()
            found += await super().sizes([path])
        return found

    async def list_names(self, folder: StorePath, *, after: str = "", limit: int = 1000) -> list[str]:
        await self._schedule.turn()
        return await super().list_names(folder, after=after, limit=limit)

    async def write(self, path: StorePath, content: bytes) -> None:
        await self._schedule.turn()
        self._bucket.put(path, content)

    async def write_all(self, groups: Sequence[WriteGroup]) -> None:
        for group in groups:
            for path, content in group:
                await self.write(path, content)

    async def replace(
        self, path: StorePath, content: bytes, *, expected: bytes | None, until: float = math.inf
    ) -> bool:
        await self._schedule.turn()
        found = self._bucket.get(path)
        if (None if found is None else found.content) != expected:
            return False
        await self._schedule.turn()
        try:
            etag = None if found is None else found.etag
            self._bucket.put(path, content, if_match=etag, if_absent=found is None, until=until)
        except (ConditionFailed, Expired):
            return False
        return self._schedule.random.random() >= self._lost_answers

    async def delete(self, path: StorePath, *, expected: bytes | None = None) -> bool:
        if expected is not None:
            return await self.replace(path, b"", expected=expected)
        await self._schedule.turn()
        was_there = self._bucket.get(path) is not None
        self._bucket.delete(path)
        return was_there

    async def delete_fenced(self, path: StorePath, fence: Fence, *, expected: bytes | None = None) -> bool:
        await self._schedule.turn()
        found = self._bucket.get(path)
        if expected is not None and (found is None or found.content != expected):
            return False
        if await self.read([fence.record]) != [fence.content]:
            return False
        await self._schedule.turn()
        try:
            if expected is not None and found is not None:
                self._bucket.put(path, b"", if_match=found.etag, until=fence.until - MARGIN_S)
                return self._schedule.random.random() >= self._lost_answers
            self._bucket.delete(path, until=fence.until - MARGIN_S)
        except (ConditionFailed, Expired):
            return False
        return True

    async def delete_tree(self, folder: StorePath) -> bool:
        await self._schedule.turn()
        below = list(self._bucket.list_keys(f"{folder}/"))
        for key in below:
            await self._schedule.turn()
            self._bucket.delete(key)
        return bool(below)


class FolderTwin(BucketTwin):
    """A folder: conditions compare content, also for deletions, in one step."""

    fence_s = 0.0

    async def replace(
        self, path: StorePath, content: bytes, *, expected: bytes | None, until: float = math.inf
    ) -> bool:
        await self._schedule.turn()
        found = self._bucket.get(path)
        if (None if found is None else found.content) != expected or self.clock_s() > until:
            return False
        self._bucket.put(path, content)
        return True

    async def delete(self, path: StorePath, *, expected: bytes | None = None) -> bool:
        await self._schedule.turn()
        found = self._bucket.get(path)
        if found is None or expected not in (None, found.content):
            return False
        self._bucket.delete(path)
        return True

    async def delete_fenced(self, path: StorePath, fence: Fence, *, expected: bytes | None = None) -> bool:
        await self._schedule.turn()
        found = self._bucket.get(path)
        if expected is not None and (found is None or found.content != expected):
            return False
        record = self._bucket.get(fence.record)
        if record is None or record.content != fence.content:
            return False
        self._bucket.delete(path)
        return True
