"""An upload into the bucket in memory: parts as objects of their own, and a record that lists them.

The record is replaced by its ETag when the session is left, and once more at `commit`: of two requests that write to
one session the later one finds it changed. The parts' names contain the writer's nonce, so no writer overwrites
another's. Bytes of an unfinished multipart upload can't be read, which a digest may need, so the parts become one only
at `commit`, by copies within the bucket. Where the target is known from the start, the parts go there without a copy.
"""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from typing import NamedTuple

from authproxy.digest import Digest
from authproxy.storage.driver import NO_LINKS, NotFound, Piece, UploadBusy
from authproxy.storage.layout import StorePath
from authproxy.storage.memory_bucket import MIN_PART_BYTES, Bucket, ConditionFailed
from authproxy.storage.running_digest import RunningDigest

# Below the folder of a session.
RECORD = "session.json"

# Parts grow with the upload, to bound their number: a part has at least 1/GROWTH of the bytes so far.
GROWTH = 1000


class _Part(NamedTuple):
    key: str
    size: int


def create_record(bucket: Bucket, session: StorePath) -> None:
    """Begin a session."""
    bucket.put(f"{session}/{RECORD}", _to_record([]))


def recorded_size(bucket: Bucket, session: StorePath) -> int:
    """The size of a session's content in bytes. Raises NotFound."""
    record = bucket.get(f"{session}/{RECORD}")
    if record is None:
        raise NotFound
    return _size(_parse_record(record.content))


def drop_session(bucket: Bucket, session: StorePath) -> None:
    """Remove all of a session, the record first."""
    bucket.delete(f"{session}/{RECORD}")
    for key in list(bucket.list_keys(f"{session}/")):
        bucket.delete(key)


class MemoryUpload:
    """See `driver.Upload`. Raises NotFound."""

    def __init__(
        self,
        bucket: Bucket,
        session: StorePath,
        target: StorePath | None,
        turn: Callable[[], Awaitable[None]],
    ) -> None:
        """`turn` is called before each request of a commit."""
        self._turn = turn
        self.running = RunningDigest()
        self.is_finished = False
        self._bucket = bucket
        self._session = session
        record = bucket.get(f"{session}/{RECORD}")
        if record is None:
            raise NotFound
        self._etag = record.etag
        self._parts = _parse_record(record.content)
        self._target = None if self._parts else target  # written there from the start
        self._multipart: int | None = None
        self._in_place_bytes = 0
        self._nonce = secrets.token_hex(8)
        self._own_keys: list[str] = []
        self._tail = bytearray()  # too short for a part
        self._old_tail: str | None = None
        if self._parts and self._parts[-1].size < MIN_PART_BYTES:
            self._old_tail, _ = self._parts.pop()
            self._tail += self._read(self._old_tail)
        self._has_changed = False

    @property
    def size(self) -> int:
        """See `driver.Upload`."""
        return _size(self._parts) + self._in_place_bytes + len(self._tail)

    def adopt(self, running: RunningDigest) -> None:
        """See `driver.Upload`."""
        if running.offset <= self.size:
            self.running = running

    async def write(self, piece: Piece) -> None:
        """See `driver.Upload`."""
        follows = self.running.offset == self.size
        self._tail += piece
        self._has_changed = True
        if follows:
            self.running.update(piece)
        while len(self._tail) >= max(MIN_PART_BYTES, self.size // GROWTH):
            self._send_part()
        await asyncio.sleep(0)

    async def digests(self, algorithms: Collection[str]) -> dict[str, Digest]:
        """See `driver.Upload`."""
        self._catch_up(self.running)
        if (lacking := self.running.lacking(algorithms)) and not self._in_place_bytes:
            fresh = RunningDigest(lacking)
            self._catch_up(fresh)
            self.running.join(fresh)
        found = {algorithm: self.running.find(algorithm) for algorithm in algorithms}
        return {algorithm: digest for algorithm, digest in found.items() if digest is not None}

    async def commit(self, target: StorePath, links: Mapping[StorePath, bytes] = NO_LINKS) -> None:
        """See `driver.Upload`."""
        if self.is_finished:
            return
        await self._turn()
        try:  # the request that replaces the record owns the session
            self._bucket.put(f"{self._session}/{RECORD}", _to_record(self._parts), if_match=self._etag)
        except ConditionFailed:
            raise self._lost() from None
        await self._turn()
        self._place(target)
        for path, content in links.items():
            await self._turn()
            self._bucket.put(path, content)
        drop_session(self._bucket, self._session)
        self.is_finished = True

    async def abort(self) -> None:
        """See `driver.Upload`."""
        if not self.is_finished:
            self._drop_multipart()
            drop_session(self._bucket, self._session)
            self.is_finished = True

    def close(self) -> None:
        """Leave the session: the accepted bytes are recorded for the next request. Raises UploadBusy, NotFound."""
        if self.is_finished or not self._has_changed:
            return
        if self._multipart is not None:  # its parts can't be read
            self._drop_multipart()
            return
        if self._tail:
            self._add_part(bytes(self._tail))
        try:
            self._bucket.put(f"{self._session}/{RECORD}", _to_record(self._parts), if_match=self._etag)
        except ConditionFailed:
            raise self._lost() from None
        if self._old_tail is not None:
            self._bucket.delete(self._old_tail)

    def _send_part(self) -> None:
        content = bytes(self._tail)
        self._tail.clear()
        if self._target is None:
            self._add_part(content)
            return
        if self._multipart is None:
            self._multipart = self._bucket.create_multipart(self._target)
        self._bucket.upload_part(self._multipart, self._in_place_bytes, content)  # any rising number will do
        self._in_place_bytes += len(content)

    def _add_part(self, content: bytes) -> None:
        key = f"{self._session}/{self._nonce}-{len(self._own_keys)}"
        self._bucket.put(key, content)
        self._own_keys.append(key)
        self._parts.append(_Part(key, len(content)))

    def _place(self, target: StorePath) -> None:
        """Make the content visible."""
        if not self._parts and self._multipart is None:
            self._bucket.put(target, bytes(self._tail))
            return
        if self._multipart is None:
            self._multipart = self._bucket.create_multipart(target)
            for number, part in enumerate(self._parts):
                self._bucket.copy_part(self._multipart, number, part.key)
        else:
            assert target == self._target, (target, self._target)
        if self._tail:
            self._bucket.upload_part(self._multipart, self.size, bytes(self._tail))
        self._bucket.complete_multipart(self._multipart)

    def _drop_multipart(self) -> None:
        if self._multipart is not None:
            self._bucket.abort_multipart(self._multipart)

    def _catch_up(self, running: RunningDigest) -> None:
        """Update a digest with the bytes that it has not seen."""
        offset = self._in_place_bytes  # it has seen these when they arrived
        for content in self._contents():
            if running.offset < offset + len(content):
                running.update(memoryview(content)[running.offset - offset :])
            offset += len(content)

    def _contents(self) -> Iterator[bytes | bytearray]:
        for part in self._parts:
            yield self._read(part.key)
        yield self._tail

    def _read(self, key: str) -> bytes:
        found = self._bucket.get(key)
        if found is None:
            raise self._lost()
        return found.content

    def _lost(self) -> NotFound | UploadBusy:
        """Another request has changed or ended the session: drop the bytes of this one, and return the error."""
        self.is_finished = True
        self._drop_multipart()
        for key in self._own_keys:
            self._bucket.delete(key)
        return UploadBusy() if self._bucket.get(f"{self._session}/{RECORD}") else NotFound()


def _size(parts: Collection[_Part]) -> int:
    return sum(part.size for part in parts)


def _to_record(parts: Collection[_Part]) -> bytes:
    """The nonce makes each record different, so that its ETag changes whenever it is written."""
    return json.dumps({"version": 1, "nonce": secrets.token_hex(8), "parts": [list(part) for part in parts]}).encode()


def _parse_record(content: bytes) -> list[_Part]:
    return [_Part(*part) for part in json.loads(content)["parts"]]
