"""An upload into a file: written and hashed by a thread, whole buffers at a time; renamed into place at the end."""

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial

from authproxy.digest import Digest
from authproxy.storage.change_marks import ChangeMarks
from authproxy.storage.driver import NO_LINKS, Piece, StorageFull
from authproxy.storage.filesystem import durable
from authproxy.storage.filesystem.batch_commit import Batch, Draft
from authproxy.storage.filesystem.locks import Locks
from authproxy.storage.filesystem.session import Session, drop_session
from authproxy.storage.filesystem.thread_pool import Lane, ThreadPool
from authproxy.storage.filesystem.write_buffer import Buffers, WriteBuffer
from authproxy.storage.layout import ROOT, UPLOAD_STARTED, StorePath
from authproxy.storage.running_digest import RunningDigest

# Bytes that one job of a thread reads for a digest, so that an upload that is left stops it; and bytes in one step.
REHASH_BYTES = 64 * 1024 * 1024
REHASH_STEP_BYTES = 1024 * 1024

# The last bytes of an upload are hashed without a thread if there are no more than these.
HASH_AT_ONCE_BYTES = 64 * 1024

# After this many bytes the system is asked to begin writing them to disk, so that the commit waits for few. Measured
# on 256 MiB: the commit takes 20 ms instead of 140, the whole upload a seventh less. On 32 MiB the last sync takes
# 15 ms without it, 2 ms with 8 MiB and 0.2 ms with 4 MiB; below that the call itself takes longer.
WRITE_BACK_BYTES = 4 * 1024 * 1024


class FileUpload:
    """See `driver.Upload`."""

    def __init__(
        self, session: Session, root: str, locks: Locks, changes: ChangeMarks, workers: ThreadPool, buffers: Buffers
    ) -> None:
        self.running = RunningDigest()
        self._session = session
        self._root = root
        self._locks = locks
        self._changes = changes
        self._written = session.size  # bytes in the file; changed by the lane's jobs alone
        self._committed: StorePath | None = None
        self._aborted = False
        self._workers = workers
        self._lane = Lane(workers)
        self._buffer = WriteBuffer(self._lane, buffers, self._append)

    @property
    def size(self) -> int:
        """See `driver.Upload`."""
        return self._written if self._lane.has_failed else self._session.size + self._buffer.accepted

    @property
    def is_finished(self) -> bool:
        """See `driver.Upload`."""
        return self._aborted or self._committed is not None

    def adopt(self, running: RunningDigest) -> None:
        """See `driver.Upload`."""
        if running.offset <= self._session.size and self._buffer.accepted == 0:
            self.running = running

    async def write(self, piece: Piece) -> None:
        """See `driver.Upload`."""
        await self._buffer.write(piece)

    async def digests(self, algorithms: Collection[str]) -> dict[str, Digest]:
        """See `driver.Upload`."""
        waiting = self._buffer.waiting
        if len(waiting) <= HASH_AT_ONCE_BYTES and self._lane.is_idle and self.running.offset == self._written:
            found = self.running.find_after(waiting, algorithms)
            if len(found) == len(algorithms):
                return found
        await self._buffer.flush()
        return await self._hash_rest(algorithms)

    async def commit(self, target: StorePath, links: Mapping[StorePath, bytes] = NO_LINKS) -> None:
        """See `driver.Upload`."""
        if self._committed != target:
            rest = await self._buffer.take()
            await self._lane.run(partial(self._place, rest, target, links))

    async def abort(self) -> None:
        """See `driver.Upload`."""
        if not self.is_finished:
            await self._lane.drain()
            self._aborted = True
            await self._lane.run(self._remove)

    async def close(self) -> None:
        """Leave the session: accepted bytes are written to the file, then the next request may open it.

        Raises the error of a thread's job again.
        """
        try:
            if not self.is_finished:
                await self._buffer.flush()
        except StorageFull:
            await self.abort()
            raise
        finally:
            await self._lane.finally_do(self._release)

    def _append(self, data: memoryview) -> None:
        durable.write_at(self._session.descriptor, data, self._written)
        if self.running.offset == self._written:  # hash it now, while it is in the processor's cache
            self.running.update(data)
        done = self._written // WRITE_BACK_BYTES * WRITE_BACK_BYTES
        self._written += len(data)
        if self._written - done >= WRITE_BACK_BYTES:
            durable.begin_write_back(self._session.descriptor, done, self._written - done)

    async def _hash_rest(self, algorithms: Collection[str]) -> dict[str, Digest]:
        """Read what the running digest has not seen; everything for algorithms that it does not compute."""
        await self._catch_up(self.running)
        if lacking := self.running.lacking(algorithms):
            fresh = RunningDigest(lacking)
            await self._catch_up(fresh)
            self.running.join(fresh)
        found = {algorithm: self.running.find(algorithm) for algorithm in algorithms}
        return {algorithm: digest for algorithm, digest in found.items() if digest is not None}

    async def _catch_up(self, running: RunningDigest) -> None:
        while running.offset < self._written:
            await self._lane.run(partial(self._hash_some, running))

    def _hash_some(self, running: RunningDigest) -> None:
        buffer = memoryview(bytearray(REHASH_STEP_BYTES))
        until = min(running.offset + REHASH_BYTES, self._written)
        while running.offset < until:
            count = os.preadv(self._session.descriptor, [buffer], running.offset)
            if count == 0:
                raise OSError("an upload's file became shorter while it was read")
            running.update(buffer[:count])

    def _place(self, rest: memoryview, target: StorePath, links: Mapping[StorePath, bytes]) -> None:
        """Append the rest of the file and put it in its place. After the rename it is there, even if we are killed."""
        if rest:
            self._append(rest)
        with Batch(self._root, self._locks, self._changes) as batch:
            data = batch.adopt(
                target, self._session.descriptor, self._session.data, with_folder=self._session.is_plain()
            )
            for path, content in links.items():
                batch.add(path, content)
            batch.sync()
            try:
                batch.place()
            finally:
                if data.is_placed:
                    self._committed = target
                    self._leave(data)
            batch.settle()

    def _leave(self, data: Draft) -> None:
        """Remove the remains of the session."""
        if data.has_moved_folder:
            with suppress(FileNotFoundError):
                os.unlink(f"{data.folder}/{UPLOAD_STARTED}")
        else:
            drop_session(self._session.folder)

    def _remove(self) -> None:
        drop_session(self._session.folder)
        durable.prune(os.path.dirname(self._session.folder), f"{self._root}/{ROOT}")

    def _release(self) -> None:
        self._buffer.release()
        self._session.close()
