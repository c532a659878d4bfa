"""The driver on a folder, in CNCF Distribution's layout. Any number of processes may share it."""

import asyncio
import errno
import math
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from authproxy.clock import uptime_s
from authproxy.errors import StartError
from authproxy.files.atomic import make_private_folder
from authproxy.storage.change_marks import ChangeMarks
from authproxy.storage.content_cache import ContentCache
from authproxy.storage.driver import Fence, IsCurrent, NotFound, Swap, UploadBusy, WriteGroup
from authproxy.storage.filesystem import durable
from authproxy.storage.filesystem.batch_commit import Batch
from authproxy.storage.filesystem.listings import FolderLists
from authproxy.storage.filesystem.locks import Locks
from authproxy.storage.filesystem.nonblocking import NotCached, open_cached, read_cached, size_cached
from authproxy.storage.filesystem.presence import Presence
from authproxy.storage.filesystem.publication import FilePublication, may_swap
from authproxy.storage.filesystem.reader import FileReader, drop_cached, open_file, read_small, size_of_file, version_of
from authproxy.storage.filesystem.reserve import Reserve
from authproxy.storage.filesystem.scan import leads_back, scan_folder
from authproxy.storage.filesystem.session import Session, create_session, find_size, take_session, take_session_cached
from authproxy.storage.filesystem.thread_pool import ThreadPool
from authproxy.storage.filesystem.upload import FileUpload
from authproxy.storage.filesystem.write_buffer import Buffers
from authproxy.storage.layout import ROOT, STARTED_FORMAT, STATE, UPLOAD_DATA, StorePath, tree_of

# Time between two attempts to lock a session, in seconds.
RETRY_LOCK_S = 0.02

# Limits for reads on the event loop, of files that the kernel has in memory: paths, about 10 µs each, and bytes a file.
MAX_AT_ONCE = 16
MAX_BYTES_AT_ONCE = 64 * 1024

# Lock files and marks, next to the layout: with our state, the only files here that CNCF Distribution does not know.
LOCKS = ".authproxy/locks"
CHANGES = ".authproxy/changes"
# Files of what is alive: see `Driver.hold`.
ALIVE = ".authproxy/alive"
# Room for our own state on a full disk: see storage/filesystem/reserve.py.
RESERVE = ".authproxy/reserve"

# How long a change by another program may go unnoticed, in seconds.
FOREIGN_S = 2.0


class FilesystemDriver:
    """See `driver.Driver`. `threads` bounds what runs at once: reads from the disk, writes, hashes.

    `read_only`: no folder or file is created or written, and methods that write may not be called. `has_content` False:
    it is for our own state alone. `makes_reserve`: room for our own state is taken now, and again once it was used up.

    Raises StartError where the folder can't be created or written; `read_only`: where it can't be listed.
    """

    fence_s = 0.0  # it compares under a lock

    def __init__(
        self,
        root: Path,
        *,
        threads: int = 16,
        read_only: bool = False,
        has_content: bool = True,
        makes_reserve: bool = False,
    ) -> None:
        self._root = root
        self._base = os.fspath(root)
        if read_only:
            _check_readable(root)
        else:
            _check_writable(root, (ROOT, LOCKS) if has_content else (LOCKS,))
        self._locks = Locks(root / LOCKS)
        self._changes = ChangeMarks(root / CHANGES, read_only=read_only)
        self._presence = Presence(root / ALIVE)
        self._reserve = Reserve(root / RESERVE, is_made=makes_reserve and not read_only, now=uptime_s)
        self._cache = ContentCache(self._changes, foreign_s=FOREIGN_S, now=time.monotonic)
        self._buffers = Buffers()
        self._workers = ThreadPool(threads, self._base)
        self._lists = FolderLists(self._workers)

    def __repr__(self) -> str:
        return f"FilesystemDriver({str(self._root)!r})"

    async def read(self, paths: Sequence[StorePath], *, fresh: bool = False) -> list[bytes | None]:
        """See `driver.Driver`."""
        if len(paths) <= MAX_AT_ONCE:
            read = self._read_fresh if fresh else self._read_at_once
            with suppress(NotCached):
                return [read(path) for path in paths]
        return await self._workers.run(lambda: [read_small(self._at(path)) for path in paths])

    def content_check(self, contents: WriteGroup) -> IsCurrent | None:
        """See `driver.Driver`."""
        return self._cache.content_check(contents)

    def folder_check(self, folder: StorePath) -> IsCurrent:
        """See `driver.Driver`. It sees changes up to three levels below the folder."""
        return self._cache.folder_check(folder)

    async def sizes(self, paths: Sequence[StorePath]) -> list[int | None]:
        """See `driver.Driver`."""
        if len(paths) <= MAX_AT_ONCE:
            with suppress(NotCached):
                return [size_cached(self._at(path)) for path in paths]
        return await self._workers.run(lambda: [find_size(self._at(path)) for path in paths])

    async def version(self, path: StorePath) -> str | None:
        """See `driver.Driver`."""
        return await self._workers.run(partial(version_of, self._at(path)))

    async def drop_cached(self, path: StorePath) -> None:
        """See `driver.Driver`. What is not yet on the disk stays in memory, as on file systems with their own cache."""
        await self._workers.run(partial(drop_cached, self._at(path)))

    async def list_names(self, folder: StorePath, *, after: str = "", limit: int = 1000) -> list[str]:
        """See `driver.Driver`."""
        return await self._lists.names(self._at(folder), after, limit)

    def scan_names(self, folder: StorePath) -> AsyncIterator[list[str]]:
        """See `driver.Driver`."""
        return scan_folder(self._workers, self._base, folder)

    async def own_names(self, folder: StorePath, names: Sequence[str]) -> list[str]:
        """See `driver.Driver`."""
        return await self._workers.run(lambda: [name for name in names if not leads_back(self._base, folder, name)])

    async def write(self, path: StorePath, content: bytes) -> None:
        """See `driver.Driver`."""
        await self.write_all([[(path, content)]])

    async def write_all(self, groups: Sequence[WriteGroup]) -> None:
        """See `driver.Driver`."""
        job = partial(self._write_all, groups)
        is_state = all(tree_of(path) == STATE for group in groups for path, _ in group)
        await self._workers.run(partial(self._reserve.spend, job) if is_state else job)

    @asynccontextmanager
    async def publish(self, groups: Sequence[WriteGroup], swaps: Sequence[Swap] = ()) -> AsyncIterator[FilePublication]:
        """See `driver.Driver`."""
        batch = Batch(self._base, self._locks, self._changes)
        publication = FilePublication(batch, self._base, groups, swaps, self._workers)
        try:
            await publication.begin()
            yield publication
        finally:
            await publication.close()

    async def replace(
        self, path: StorePath, content: bytes, *, expected: bytes | None, until: float = math.inf
    ) -> bool:
        """See `driver.Driver`. Conditions are checked under the lock of the path."""
        job = partial(self._replace, Swap(path, content, expected, until))
        return await self._workers.run(partial(self._reserve.spend, job) if tree_of(path) == STATE else job)

    async def delete(self, path: StorePath, *, expected: bytes | None = None) -> bool:
        """See `driver.Driver`."""
        return await self._workers.run(partial(self._reserve.spend, partial(self._delete, path, expected)))

    async def delete_fenced(self, path: StorePath, fence: Fence, *, expected: bytes | None = None) -> bool:
        """See `driver.Driver`. The record can't change between the comparison and the removal."""
        return await self._workers.run(
            partial(self._reserve.spend, partial(self._delete_fenced, path, fence, expected))
        )

    def clock_s(self) -> float:
        """See `driver.Driver`."""
        return uptime_s()

    async def delete_tree(self, folder: StorePath) -> bool:
        """See `driver.Driver`."""
        return await self._workers.run(partial(self._reserve.spend, partial(self._delete_tree, folder)))

    async def remove_empty_folders(self, folders: Sequence[StorePath]) -> None:
        """See `driver.Driver`. One that a push is about to use may go: the push makes it again."""
        await self._workers.run(partial(self._reserve.spend, partial(self._prune, folders)))

    @asynccontextmanager
    async def open_reader(
        self,
        path: StorePath,
        first: int = 0,  # noqa: ARG002 - nothing is read ahead
        length: int | None = None,  # noqa: ARG002
    ) -> AsyncIterator[FileReader]:
        """See `driver.Driver`. An open file stays readable, and nothing is read ahead."""
        try:
            descriptor = open_cached(self._at(path))
        except NotCached:
            descriptor = await self._workers.run(partial(open_file, self._at(path)), discard=os.close)
        try:
            yield FileReader(descriptor, size_of_file(descriptor), self._workers)
        finally:
            os.close(descriptor)

    def create_upload(
        self,
        session: StorePath,
        *,
        started: datetime,
        target: StorePath | None = None,  # noqa: ARG002 - a rename needs the target only at the end
    ) -> AbstractAsyncContextManager[FileUpload]:
        """See `driver.Driver`."""
        job = partial(create_session, self._at(session), started.strftime(STARTED_FORMAT))
        return self._holding(lambda: self._workers.run(job, discard=Session.close))

    def open_upload(
        self,
        session: StorePath,
        *,
        wait_s: float,
        target: StorePath | None = None,  # noqa: ARG002
    ) -> AbstractAsyncContextManager[FileUpload]:
        """See `driver.Driver`. Sessions are locked: a second writer is refused here."""
        return self._holding(lambda: self._wait_for_session(self._at(session), wait_s))

    async def upload_size(self, session: StorePath) -> int:
        """See `driver.Driver`."""
        [size] = await self.sizes([StorePath(f"{session}/{UPLOAD_DATA}")])
        if size is None:
            raise NotFound
        return size

    def hold(self, name: str) -> AbstractContextManager[None]:
        """See `driver.Driver`."""
        return self._presence.hold(name)

    def is_held(self, name: str) -> bool:
        """See `driver.Driver`."""
        return self._presence.is_held(name)

    async def close(self) -> None:
        """See `driver.Driver`."""
        await self._workers.close()

    @asynccontextmanager
    async def _holding(self, take: Callable[[], Awaitable[Session]]) -> AsyncIterator[FileUpload]:
        upload = FileUpload(await take(), self._base, self._locks, self._changes, self._workers, self._buffers)
        try:
            yield upload
        finally:
            await upload.close()

    async def _wait_for_session(self, folder: str, wait_s: float) -> Session:
        deadline = asyncio.get_running_loop().time() + wait_s
        while True:
            session = await self._take_session(folder)
            if session is not None:
                return session
            if asyncio.get_running_loop().time() >= deadline:
                raise UploadBusy
            await asyncio.sleep(RETRY_LOCK_S)

    async def _take_session(self, folder: str) -> Session | None:
        try:
            return take_session_cached(folder)
        except NotCached:
            return await self._workers.run(partial(take_session, folder), discard=_close_session)

    def _read_at_once(self, path: StorePath) -> bytes | None:
        found = self._cache.find(path)
        return self._read_fresh(path) if found is None else found

    def _read_fresh(self, path: StorePath) -> bytes | None:
        return self._cache.read(path, self._read_cached)

    def _read_cached(self, path: str) -> bytes | None:
        return read_cached(self._at(path), MAX_BYTES_AT_ONCE)

    def _at(self, path: str) -> str:
        """The path as text: a join of pathlib costs as much as opening the file."""
        return f"{self._base}/{path}"

    def _write_all(self, groups: Sequence[WriteGroup]) -> None:
        with Batch(self._base, self._locks, self._changes) as batch:
            for group in groups:
                for path, content in group:
                    batch.add(path, content)
            batch.sync()
            batch.place()
            # A tag must not be durable before the manifest that it points at: not every file system keeps the order of
            # renames over a power cut.
            batch.settle(apart=len(groups[-1]) if len(groups) > 1 else 0)

    def _replace(self, swap: Swap) -> bool:
        if not may_swap(self._base, swap):
            return False
        with Batch(self._base, self._locks, self._changes) as batch:
            draft = batch.add(swap.path, swap.content)
            batch.sync()
            placed = batch.place_if(draft, partial(may_swap, self._base, swap))
            batch.settle()
            return placed

    def _delete(self, path: StorePath, expected: bytes | None) -> bool:
        with self._locks.hold(path):
            if expected is not None and read_small(self._at(path)) != expected:
                return False
            return self._remove(path)

    def _delete_fenced(self, path: StorePath, fence: Fence, expected: bytes | None) -> bool:
        with self._locks.hold(path, beside=fence.record):
            if expected is not None and read_small(self._at(path)) != expected:
                return False
            if read_small(self._at(fence.record)) != fence.content:
                return False
            self._remove(path)
            return True

    def _remove(self, path: StorePath) -> bool:
        try:
            return durable.remove_file(self._at(path), self._at(tree_of(path)))
        finally:
            self._changes.renew(path)

    def _prune(self, folders: Sequence[StorePath]) -> None:
        durable.sync(folders=[durable.prune(self._at(folder), self._at(tree_of(folder))) for folder in folders])

    def _delete_tree(self, folder: StorePath) -> bool:
        try:
            return durable.remove_tree(self._at(folder), self._at(tree_of(folder)))
        finally:
            self._changes.renew_all()


def _check_writable(root: Path, names: Sequence[str]) -> None:
    try:
        make_private_folder(root)
        for folder in (root / name for name in names):
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()  # without a name, so no other user can replace it
    except OSError as error:
        fix = (
            "Mount it for writing, or set storage.maintenance.readonly."
            if error.errno == errno.EROFS
            else "Give the folder to the user that runs authproxy, or name another."
        )
        raise StartError(
            f"storage.filesystem.rootdirectory: {root} can't be written ({error.strerror}: {error.filename}). {fix}"
        ) from error


def _check_readable(root: Path) -> None:
    try:
        os.scandir(root).close()
    except OSError as error:
        raise StartError(
            f"storage.filesystem.rootdirectory: {root} can't be read ({error.strerror}). Let the user that runs"
            " authproxy read it, or name another; with maintenance.readonly it isn't made."
        ) from error


def _close_session(session: Session | None) -> None:
    if session is not None:
        session.close()
