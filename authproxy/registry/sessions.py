"""Upload sessions: their ids, and the running digests that one request passes to the next.

A session is in the storage, so any process can continue it. Its running digest is in the memory of each process that
served it, up to the last byte that this process has seen; bytes that it has missed are read once, at the end. See
docs/decisions/0005-keep-running-digests-in-memory.md.
"""

import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from authproxy.errors import BlobUploadUnknown
from authproxy.reference import Repository
from authproxy.storage import layout
from authproxy.storage.driver import Driver, NotFound, Upload
from authproxy.storage.running_digest import RunningDigest

# Running digests that wait for their next request. Each is under a kilobyte; the least recently used goes first.
MAX_REMEMBERED = 4096

# How long a request waits for another one that writes to its session. A client that lost its connection soon retries,
# and the server notices the loss about as quickly.
WAIT_S = 5.0

# The form of an id in CNCF Distribution too, whose sessions we can continue.
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Sessions:
    """The upload sessions of all repositories."""

    def __init__(self, driver: Driver, *, now: Callable[[], datetime], new_id: Callable[[], UUID]) -> None:
        self._driver = driver
        self._now = now
        self._new_id = new_id
        self._running: OrderedDict[layout.StorePath, RunningDigest] = OrderedDict()

    @asynccontextmanager
    async def create(
        self, repository: Repository, algorithms: Collection[str], *, target: layout.StorePath | None = None
    ) -> AsyncIterator[tuple[UUID, Upload]]:
        """Open a new session that hashes with `algorithms`; sha256 is always one of them. `target`: see `Driver`."""
        session = self._new_id()
        path = layout.upload(repository, session)
        async with self._driver.create_upload(path, started=self._now(), target=target) as upload:
            upload.adopt(RunningDigest({"sha256", *algorithms}))
            yield session, upload
        self._remember(path, upload)

    @asynccontextmanager
    async def open(
        self, repository: Repository, session: str, *, target: layout.StorePath | None = None
    ) -> AsyncIterator[Upload]:
        """Continue a session. `target`: see `Driver`.

        Raises BlobUploadUnknown, and UploadBusy if another request holds it past WAIT_S or has written to it meanwhile.
        """
        path = _path(repository, session)
        try:
            async with self._driver.open_upload(path, wait_s=WAIT_S, target=target) as upload:
                running = self._running.pop(path, None)
                if running is not None:
                    upload.adopt(running)
                is_followed = running is not None or not upload.size  # else the digest does not see the new bytes
                try:
                    yield upload
                finally:
                    if is_followed:
                        self._remember(path, upload)
        except NotFound:
            raise BlobUploadUnknown(detail={"session": session}) from None

    async def size(self, repository: Repository, session: str) -> int:
        """The size of a session's content in bytes. Raises BlobUploadUnknown."""
        try:
            return await self._driver.upload_size(_path(repository, session))
        except NotFound:
            raise BlobUploadUnknown(detail={"session": session}) from None

    def _remember(self, path: layout.StorePath, upload: Upload) -> None:
        if not upload.is_finished:
            self._running[path] = upload.running
            if len(self._running) > MAX_REMEMBERED:
                self._running.popitem(last=False)


def _path(repository: Repository, session: str) -> layout.StorePath:
    if _ID.fullmatch(session) is None:
        raise BlobUploadUnknown(detail={"session": session})
    return layout.upload(repository, UUID(session))
