"""The interface between the registry and its storage: what a driver must do, and when written content is durable.

Two kinds of content live here. Small content (links, manifests) is written whole and read whole. Large content comes
through an Upload, which is identified by its session, and leaves in pieces through a Reader. Neither needs a rename, a
folder or a lock, so a bucket fits as well as a folder. See docs/decisions/0004-keep-storage-behind-one-protocol.md and,
for what a bucket needs, docs/decisions/0034-shape-the-driver-for-buckets.md.

NotFound        there is no content at this path, or no such session
StorageFull     answered with 503: no space, or the quota is used up
UploadBusy      answered with 503: another request is writing to this session
"""

import math
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeAlias

from authproxy.digest import Digest
from authproxy.errors import Unavailable
from authproxy.storage.layout import StorePath
from authproxy.storage.running_digest import RunningDigest

# The longest piece of a read, in bytes. Measured: over TLS pieces of 64 KiB and of 1 MiB are both a sixth slower.
PIECE_BYTES = 256 * 1024

# The longest small content, in bytes: more than any manifest (4 MiB).
MAX_SMALL_BYTES = 8 * 1024 * 1024

# What an upload may hold in memory, in bytes: as much as one part of a bucket's multipart upload, and the next one.
MAX_BUFFERED_BYTES = 64 * 1024 * 1024

# Names in one batch of `list_all`.
BATCH = 1000

# For a commit that adds no links.
NO_LINKS: Mapping[StorePath, bytes] = MappingProxyType({})

# Bytes as they arrive.
Piece: TypeAlias = bytes | bytearray | memoryview

# Small contents to put, in any order.
WriteGroup: TypeAlias = Sequence[tuple[StorePath, bytes]]


class Swap(NamedTuple):
    """A small content to put at `path` if that holds `expected` then (None: no content), and it is not too late.

    `until`: by the storage's clock (`Driver.clock_s`).
    """

    path: StorePath
    content: bytes
    expected: bytes | None
    until: float = math.inf


class Fence(NamedTuple):
    """What a deletion depends on: it takes place only as long as `record` holds `content`.

    `until`: by the storage's clock (`Driver.clock_s`). A storage that can't compare refuses the deletion after it. So a
    caller that replaces the record earlier waits until then before it relies on what was to be deleted.
    """

    record: StorePath
    content: bytes
    until: float


# A quick test whether the storage still holds what was read.
IsCurrent: TypeAlias = Callable[[], bool]


class NotFound(Exception):
    """There is no content at this path, or no such session."""


class StorageFull(Unavailable):
    """The storage accepts no more content. No incomplete content is left."""

    message = "the registry's storage is full"


class UploadBusy(Unavailable):
    """Another request, in this process or another, holds the session or has written to it meanwhile."""

    message = "another request is writing to this upload session"

    def __init__(self) -> None:
        super().__init__(headers=[("Retry-After", "1")])


class Reader(Protocol):
    """Stored content, open for reading.

    After the first piece it stays readable, even if the content is deleted or replaced.
    """

    size: int  # bytes in all

    def pieces(self, first: int, length: int) -> AsyncIterator[bytes | bytearray]:
        """`length` bytes from offset `first` on, in pieces of at most PIECE_BYTES.

        A piece belongs to the caller and is not reused. Never blocks the event loop. Raises NotFound if the content was
        deleted or replaced between opening it and the first piece, and OSError if the content is shorter than it should
        be (it was damaged).
        """


class Upload(Protocol):
    """One session, open for one request. Accepted bytes stay for the next request.

    Two requests never mix their bytes in one session. A storage with locks refuses the second one when it opens the
    session; any other storage notices later, at the latest at `commit` or when the session is left, and raises
    UploadBusy for one of the two: the bytes of that request are dropped.

    Leaving the session (done, failed or cancelled) hands the accepted bytes to the storage, where they outlive this
    process; they are durable, and visible to others, only after `commit`. Raises UploadBusy, and NotFound if the
    session was removed meanwhile.
    """

    @property
    def size(self) -> int:
        """Bytes accepted so far, those of earlier requests included."""

    @property
    def is_finished(self) -> bool:
        """Committed or aborted: the session no longer exists."""

    @property
    def running(self) -> RunningDigest:
        """The digest so far. Pass it to `adopt` in the next request, and the bytes it has seen are not read again."""

    def adopt(self, running: RunningDigest) -> None:
        """Continue a running digest of this session's first bytes. Ignored if it has seen more bytes than there are.

        If other processes have written since, `digests` reads the bytes that it has missed.
        """

    async def write(self, piece: Piece) -> None:
        """Append. Waits while the storage is behind: this is the back-pressure. Cancelled: `size` says what was kept.

        A large piece is not copied: don't change it until `digests` or `commit` has returned, or the session is left.
        Holds at most MAX_BUFFERED_BYTES in memory, whatever the size of the upload. Raises StorageFull, here or when
        the session is left: the session is then dropped, so that content that can't be completed doesn't fill the
        storage. May raise UploadBusy.
        """

    async def digests(self, algorithms: Collection[str]) -> dict[str, Digest]:
        """The digests of everything so far. Reads the bytes that no running digest has seen."""

    async def commit(self, target: StorePath, links: Mapping[StorePath, bytes] = NO_LINKS) -> None:
        """Make the content visible at `target` in one atomic step, then the links, in any order; all durable on return.

        `target` is the one that the session was opened with, if any. The content replaces any content there, which
        repairs damaged content; a reader of the old content goes on reading it. May be repeated. Cancelled: it happens
        completely or not at all. Raises StorageFull, UploadBusy and NotFound, before anything has become visible.
        """

    async def abort(self) -> None:
        """Drop the session and its content. May be repeated."""


class Publication(Protocol):
    """Contents that are visible, and pointers to them that are not moved yet: see `Driver.publish`."""

    async def move(self) -> list[bool]:
        """Make each swap whose condition holds, in order; False for the others. All is durable on return. Call once.

        A pointer becomes durable after the contents. Cancelled: the rest may still happen. Raises StorageFull.
        """


class Driver(Protocol):
    """A storage. Its methods may be called concurrently, and by several processes over the same storage."""

    fence_s: float
    """How long a deletion may still take place after its fence's record was changed, in seconds. 0.0: not at all."""

    async def read(self, paths: Sequence[StorePath], *, fresh: bool = False) -> list[bytes | None]:
        """Small contents, in the order of `paths`; None where there is no content, or more than MAX_SMALL_BYTES.

        `fresh`: as they are now, past every cache. Otherwise another program's change may go unnoticed for a while.
        """

    def content_check(self, contents: WriteGroup) -> IsCurrent | None:
        """A test, for later, whether reading these paths would still return these contents.

        It holds no longer than `read` itself would return them: another program's change may go unnoticed for as long
        as there. None if there is no quick test, or a content has not been read lately.
        """

    def folder_check(self, folder: StorePath) -> IsCurrent | None:
        """A test, for later, whether a folder of tags is unchanged in all that it holds. Take it before you read.

        It holds for a second at most: within that, another program's change may go unnoticed. None if there is no quick
        test, as in a bucket.
        """

    async def sizes(self, paths: Sequence[StorePath]) -> list[int | None]:
        """Sizes in bytes, in the order of `paths`; None where there is no content."""

    async def version(self, path: StorePath) -> str | None:
        """A text that changes whenever the content of a path does; None where there is no content.

        In a folder also when only the file's rights or links change; in a bucket equal contents have equal versions.
        """

    async def drop_cached(self, path: StorePath) -> None:
        """Make the next read of a content come from the disk, as far as the system allows that."""

    async def list_names(self, folder: StorePath, *, after: str = "", limit: int = 1000) -> list[str]:
        """The names directly below a folder that are greater than `after`, at most `limit`, in bytewise order.

        Bytewise by name: `a-b` comes after `a`, although the key `a-b/` comes before `a/` in a bucket. Empty if there
        is no such folder: a folder exists as long as it has content.
        """

    def scan_names(self, folder: StorePath) -> AsyncIterator[list[str]]:
        """All names directly below a folder, in any order, in batches of at most BATCH; none where it is missing.

        For folders of any size: only a batch is in memory. A name that is added or removed meanwhile may be missing.
        Without links that a walk through the storage has to pass by: see `own_names`. Raises OSError.
        """

    async def own_names(self, folder: StorePath, names: Sequence[str]) -> list[str]:
        """Those of a folder's names that are no links to what a walk through the storage comes to by another name.

        Such a link, or one to a folder that the walk has come through, would count twice, and could go round for ever.
        """

    async def write(self, path: StorePath, content: bytes) -> None:
        """Write small content, durable on return. Others see the old or the new content, never a part of it.

        Cancelled: it may still happen, completely. Raises StorageFull.
        """

    async def write_all(self, groups: Sequence[WriteGroup]) -> None:
        """Write several small contents, each as `write` does. Cheaper than one `write` after the other.

        A group becomes visible after those before it, in any order within itself; a path occurs at most once in a
        group. All are durable on return, and the last group becomes durable only after the others.
        """

    def publish(
        self, groups: Sequence[WriteGroup], swaps: Sequence[Swap] = ()
    ) -> AbstractAsyncContextManager[Publication]:
        """`write_all`, with a look in between: entered, the groups are visible; `move` then makes the swaps.

        Left without `move`, no swap is made, and what has become visible may not survive a power cut. Raises
        StorageFull.
        """

    async def replace(
        self, path: StorePath, content: bytes, *, expected: bytes | None, until: float = math.inf
    ) -> bool:
        """Make one swap: see `Swap`. False: a condition doesn't hold, and nothing was written.

        Compares and writes in one atomic step: of two callers that expect the same content only one succeeds.
        """

    async def delete(self, path: StorePath, *, expected: bytes | None = None) -> bool:
        """Remove one content, durably; with `expected`, only if it holds exactly that. False: nothing was removed.

        Compares and removes in one step: content that another caller writes there meanwhile stays. Folders that become
        empty are removed too. With `expected`, a storage without conditional deletes leaves empty content instead:
        call it for links alone, where empty means absent.
        """

    async def delete_fenced(self, path: StorePath, fence: Fence, *, expected: bytes | None = None) -> bool:
        """`delete`, if the fence also holds when the content is removed. False: one of the conditions doesn't hold.

        Without `expected`, True where there was no content.
        """

    def clock_s(self) -> float:
        """The storage's clock, in seconds: that of its answers; where it has none, this machine's time since boot."""

    async def delete_tree(self, folder: StorePath) -> bool:
        """Remove everything below a folder, one by one and durably. False: it was empty. May be repeated."""

    async def remove_empty_folders(self, folders: Sequence[StorePath]) -> None:
        """Remove those of these folders that have no content, and those above that become empty. Never any content."""

    def open_reader(
        self, path: StorePath, first: int = 0, length: int | None = None
    ) -> AbstractAsyncContextManager[Reader]:
        """Open content for reading. Raises NotFound.

        `first` and `length` (None: to the end) say which bytes will be read, so that the driver may begin at once;
        other bytes may be read as well.
        """

    def create_upload(
        self, session: StorePath, *, started: datetime, target: StorePath | None = None
    ) -> AbstractAsyncContextManager[Upload]:
        """Open a new session. It outlives the process, but not a power cut: the client then starts again.

        `layout.upload_started` holds the time when it began, for as long as the session exists. `started` is in UTC.
        `target`: see `open_upload`. Raises StorageFull.
        """

    def open_upload(
        self, session: StorePath, *, wait_s: float, target: StorePath | None = None
    ) -> AbstractAsyncContextManager[Upload]:
        """Continue a session. If another request holds it, waits up to `wait_s` seconds, where the storage has locks.

        `target`: where the content will go, if the caller knows it and means to commit in this request. It may be
        written there from the start, which saves a copy at `commit`. The bytes of this request may then be lost if it
        ends without a commit, and `digests` returns only those that its running digest has followed. Raises NotFound,
        UploadBusy.
        """

    async def upload_size(self, session: StorePath) -> int:
        """The size of a session's content in bytes, without opening the session. Raises NotFound."""

    def hold(self, name: str) -> AbstractContextManager[None]:
        """Show the other processes, for the length of the block, that `name` is alive. It ends with this process too.

        `name` may be part of a path. Writes, but nothing durable: it means nothing after a boot. Raises BlockingIOError
        where it is held already, and OSError.
        """

    def is_held(self, name: str) -> bool:
        """Whether a living process holds this name. Writes nothing. Raises OSError where nobody can tell."""

    async def close(self) -> None:
        """Wait for running operations, then release threads and connections. The driver can't be used afterwards."""


async def list_all(driver: Driver, folder: StorePath) -> AsyncIterator[list[str]]:
    """All names directly below a folder, in order, in batches that are not empty."""
    names = await driver.list_names(folder, limit=BATCH)
    while names:
        yield names
        names = await driver.list_names(folder, after=names[-1], limit=BATCH) if len(names) == BATCH else []
