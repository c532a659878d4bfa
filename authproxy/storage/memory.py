"""The driver in memory: for tests, and for registries that may forget. It has no rename, as a bucket has none."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from authproxy.digest import Digest
from authproxy.storage.driver import MAX_SMALL_BYTES, NO_LINKS, PIECE_BYTES, NotFound, Piece, Still, UploadBusy
from authproxy.storage.layout import STARTED_FORMAT, UPLOAD_STARTED, StorePath
from authproxy.storage.running_digest import RunningDigest


@dataclass(slots=True)
class _Session:
    data: bytearray = field(default_factory=bytearray)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class MemoryReader:
    """See `driver.Reader`."""

    def __init__(self, content: bytes) -> None:
        self.size = len(content)
        self._content = content

    async def pieces(self, first: int, length: int) -> AsyncIterator[bytes]:
        """See `driver.Reader`."""
        for offset in range(first, first + length, PIECE_BYTES):
            yield self._content[offset : min(offset + PIECE_BYTES, first + length)]


class MemoryUpload:
    """See `driver.Upload`."""

    def __init__(self, driver: "MemoryDriver", session: StorePath, data: bytearray) -> None:
        self.running = RunningDigest()
        self.is_finished = False
        self._driver = driver
        self._session = session
        self._data = data

    @property
    def size(self) -> int:
        """See `driver.Upload`."""
        return len(self._data)

    def adopt(self, running: RunningDigest) -> None:
        """See `driver.Upload`."""
        if running.offset <= self.size:
            self.running = running

    async def write(self, piece: Piece) -> None:
        """See `driver.Upload`."""
        follows = self.running.offset == len(self._data)
        self._data += piece
        if follows:
            await asyncio.to_thread(self.running.update, memoryview(piece))

    async def digests(self, algorithms: Collection[str]) -> dict[str, Digest]:
        """See `driver.Upload`."""
        await asyncio.to_thread(self.running.update, bytes(self._data[self.running.offset :]))
        if lacking := self.running.lacking(algorithms):
            fresh = RunningDigest(lacking)
            await asyncio.to_thread(fresh.update, bytes(self._data))
            self.running.join(fresh)
        found = {algorithm: self.running.find(algorithm) for algorithm in algorithms}
        return {algorithm: digest for algorithm, digest in found.items() if digest is not None}

    async def commit(self, target: StorePath, links: Mapping[StorePath, bytes] = NO_LINKS) -> None:
        """See `driver.Upload`."""
        if not self.is_finished:
            self._driver.finish(self._session, [(target, bytes(self._data)), *links.items()])
            self.is_finished = True

    async def abort(self) -> None:
        """See `driver.Upload`."""
        if not self.is_finished:
            self._driver.drop(self._session)
            self.is_finished = True


class MemoryDriver:
    """See `driver.Driver`. What is durable here is what the process remembers."""

    def __init__(self) -> None:
        self._content: dict[StorePath, bytes] = {}
        self._sessions: dict[StorePath, _Session] = {}

    async def read(self, paths: Sequence[StorePath]) -> list[bytes | None]:
        """See `driver.Driver`."""
        found = [self._content.get(path) for path in paths]
        return [content if content is not None and len(content) <= MAX_SMALL_BYTES else None for content in found]

    def still(self, contents: Sequence[tuple[StorePath, bytes]]) -> Still | None:
        """See `driver.Driver`."""
        return lambda: all(self._content.get(path) == content for path, content in contents)

    def unchanged(self, folder: StorePath) -> Still:
        """See `driver.Driver`."""
        inside = f"{folder}/"

        def look() -> dict[StorePath, bytes]:
            return {path: content for path, content in self._content.items() if path.startswith(inside)}

        before = look()
        return lambda: look() == before

    async def sizes(self, paths: Sequence[StorePath]) -> list[int | None]:
        """See `driver.Driver`."""
        return [len(self._content[path]) if path in self._content else None for path in paths]

    async def list_names(self, folder: StorePath, *, after: str = "", limit: int = 1000) -> list[str]:
        """See `driver.Driver`."""
        prefix = f"{folder}/"
        names = {path[len(prefix) :].partition("/")[0] for path in self._content if path.startswith(prefix)}
        return sorted(name for name in names if name > after)[:limit]

    async def write(self, path: StorePath, content: bytes) -> None:
        """See `driver.Driver`."""
        self._content[path] = content

    async def write_all(self, contents: Sequence[tuple[StorePath, bytes]]) -> None:
        """See `driver.Driver`."""
        self._content.update(contents)

    async def replace(self, path: StorePath, content: bytes, *, expected: bytes | None) -> bool:
        """See `driver.Driver`."""
        if self._content.get(path) != expected:
            return False
        self._content[path] = content
        return True

    async def delete(self, path: StorePath, *, expected: bytes | None = None) -> bool:
        """See `driver.Driver`."""
        if expected is not None and self._content.get(path) != expected:
            return False
        return self._content.pop(path, None) is not None

    async def delete_tree(self, folder: StorePath) -> bool:
        """See `driver.Driver`."""
        below = [path for path in self._content if path.startswith(f"{folder}/")]
        for path in below:
            del self._content[path]
        return bool(below)

    @asynccontextmanager
    async def open_reader(self, path: StorePath) -> AsyncIterator[MemoryReader]:
        """See `driver.Driver`."""
        if path not in self._content:
            raise NotFound
        yield MemoryReader(self._content[path])

    @asynccontextmanager
    async def create_upload(self, session: StorePath, *, started: datetime) -> AsyncIterator[MemoryUpload]:
        """See `driver.Driver`."""
        self._sessions[session] = _Session()
        self._content[_started_at(session)] = started.strftime(STARTED_FORMAT).encode()
        async with self.open_upload(session, wait_s=0.0) as upload:
            yield upload

    @asynccontextmanager
    async def open_upload(self, session: StorePath, *, wait_s: float) -> AsyncIterator[MemoryUpload]:
        """See `driver.Driver`."""
        held = self._find_session(session)
        if held.lock.locked():
            try:
                await asyncio.wait_for(held.lock.acquire(), wait_s)
            except TimeoutError:
                raise UploadBusy from None
        else:
            await held.lock.acquire()
        try:
            self._find_session(session)  # who held it may have ended it
            yield MemoryUpload(self, session, held.data)
        finally:
            held.lock.release()

    async def upload_size(self, session: StorePath) -> int:
        """See `driver.Driver`."""
        return len(self._find_session(session).data)

    async def close(self) -> None:
        """See `driver.Driver`."""
        self._content.clear()
        self._sessions.clear()

    def finish(self, session: StorePath, contents: Iterable[tuple[StorePath, bytes]]) -> None:
        """Make an upload's content and its links visible, and end its session."""
        self._content.update(contents)
        self.drop(session)

    def drop(self, session: StorePath) -> None:
        """End a session."""
        self._sessions.pop(session, None)
        self._content.pop(_started_at(session), None)

    def _find_session(self, session: StorePath) -> _Session:
        if session not in self._sessions:
            raise NotFound
        return self._sessions[session]


def _started_at(session: StorePath) -> StorePath:
    return StorePath(f"{session}/{UPLOAD_STARTED}")
