"""The seam below the registry: what any storage has to do, and when what is written is safe.

Two kinds of content live here. Small content (links, manifests) is written whole and read whole. Large content comes
through an Upload, known by its session, and is read in pieces by a Reader. Neither needs a rename or a lock of its
caller, so that a bucket fits as well as a folder: see docs/decisions/0004-keep-storage-behind-one-protocol.md.

NotFound        there is nothing at this path, or no such session
StorageFull     an answer 503: no space, or the quota is used up
UploadBusy      an answer 503: somebody else is writing to this session
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from types import MappingProxyType
from typing import Protocol, TypeAlias

from authproxy.digest import Digest
from authproxy.errors import Unavailable
from authproxy.storage.layout import StorePath
from authproxy.storage.running_digest import RunningDigest

# What one read brings, in bytes. Measured: over TLS 64 KiB and 1 MiB pieces are both a sixth slower.
PIECE_BYTES = 256 * 1024

# Small content is at most this long, in bytes: a manifest (4 MiB) and then some.
MAX_SMALL_BYTES = 8 * 1024 * 1024


# For a commit of content that nothing names yet.
NO_LINKS: Mapping[StorePath, bytes] = MappingProxyType({})

# Bytes as they come in.
Piece: TypeAlias = bytes | bytearray | memoryview

# Whether what was read is still there.
Still: TypeAlias = Callable[[], bool]


class NotFound(Exception):
    """There is nothing at this path, or no such session."""


class StorageFull(Unavailable):
    """The storage takes no more; nothing half-written is left."""

    message = "the registry's storage is full"


class UploadBusy(Unavailable):
    """Another request, of this process or another, is writing to the same session and did not end in time."""

    message = "another request is writing to this upload session"

    def __init__(self) -> None:
        super().__init__(headers=[("Retry-After", "1")])


class Reader(Protocol):
    """Stored content, open for reading. It stays readable while it is open, even where it is deleted or replaced."""

    size: int  # bytes in all

    def pieces(self, first: int, length: int) -> AsyncIterator[bytes | bytearray]:
        """`length` bytes from offset `first` on, in pieces of PIECE_BYTES and a last shorter one.

        A piece is the caller's: nobody else will touch it again. Never blocks the event loop. Raises OSError where the
        content ends before (it was damaged).
        """


class Upload(Protocol):
    """One session, held by one request alone until it is left. What was accepted stays for the next request.

    Leaving it (done, failed or cancelled) hands what was accepted to the storage, where it outlives this process; it
    is durable, and visible to others, only from `commit` on.
    """

    @property
    def size(self) -> int:
        """Bytes accepted so far, those of earlier requests included."""

    @property
    def is_finished(self) -> bool:
        """Committed or aborted: there is no session any more."""

    @property
    def running(self) -> RunningDigest:
        """The digest so far: hand it to `adopt` in the next request, and what it has seen is not read again."""

    def adopt(self, running: RunningDigest) -> None:
        """Go on with the running digest of this session's first bytes. One that has seen more than there is, is not it.

        Where others have written since, `digests` reads what it has missed.
        """

    async def write(self, piece: Piece) -> None:
        """Append. Waits while the storage is behind: this is the back-pressure. Cancelled: `size` says what was kept.

        A large piece is used where it is: leave it as it is until `digests` or `commit` has returned, or the session
        is left. Memory is bounded, whatever the size of the upload. Raises StorageFull, here or when the session is
        left: it is dropped then, so that what can't be completed does not go on filling the storage.
        """

    async def digests(self, algorithms: Collection[str]) -> dict[str, Digest]:
        """The digests of everything so far. Reads again what no running digest has followed."""

    async def commit(self, target: StorePath, links: Mapping[StorePath, bytes] = NO_LINKS) -> None:
        """Make the content visible at `target` in one atomic step, then each link, in order; all durable on return.

        It takes the place of whatever is there, so that content which became damaged is right again; who reads the old
        goes on reading it. May be repeated. Cancelled: it happens wholly or not at all. Raises StorageFull, before
        anything has become visible.
        """

    async def abort(self) -> None:
        """Drop the session and what came. May be repeated."""


class Driver(Protocol):
    """A storage. Its methods may be called concurrently, and by several processes over the same storage."""

    async def read(self, paths: Sequence[StorePath]) -> list[bytes | None]:
        """Small contents, in the order of `paths`; None where there is none, or it is over MAX_SMALL_BYTES."""

    def still(self, contents: Sequence[tuple[StorePath, bytes]]) -> Still | None:
        """A quick test, for later, whether reading these paths would still bring these contents.

        It holds no longer than `read` would go on bringing them: another program's change may go unnoticed for as long
        as there. None: it can't be told without reading; so it may be where a content has not been read lately.
        """

    def unchanged(self, folder: StorePath) -> Still:
        """A quick test, for later, whether what stands up to three levels below a folder is as it is now.

        It holds for a second at most: within that another program's change may go unnoticed. Take it before you look.
        """

    async def sizes(self, paths: Sequence[StorePath]) -> list[int | None]:
        """Sizes in bytes, in the order of `paths`; None where there is nothing."""

    async def list_names(self, folder: StorePath, *, after: str = "", limit: int = 1000) -> list[str]:
        """The names right below a folder that are greater than `after`, at most `limit`, in bytewise order.

        Bytewise by name: `a-b` comes behind `a`, though `a-b/` stands before `a/` in a bucket. Empty where there is
        no such folder: a folder exists as long as something is in it.
        """

    async def write(self, path: StorePath, content: bytes) -> None:
        """Put small content, durable on return. Others see the old or the new, never a part.

        Cancelled: it may still happen, wholly. Raises StorageFull.
        """

    async def write_all(self, contents: Sequence[tuple[StorePath, bytes]]) -> None:
        """Put several small contents, each as `write` does; they become visible in the order given.

        Cheaper than one `write` after the other: all are durable on return, and none may be before.
        """

    async def replace(self, path: StorePath, content: bytes, *, expected: bytes | None) -> bool:
        """`write`, where the path holds `expected` now (None: nothing); otherwise False, and nothing is done.

        Compared and put in one step, whoever else writes: of two callers that expect the same one wins.
        """

    async def delete(self, path: StorePath, *, expected: bytes | None = None) -> bool:
        """Remove one content, durably; with `expected`, only where it holds exactly that. False: nothing was removed.

        Folders that become empty go too.
        """

    async def delete_tree(self, folder: StorePath) -> bool:
        """Remove all below a folder, piece by piece and durably. False: there was nothing. May be repeated."""

    def open_reader(self, path: StorePath) -> AbstractAsyncContextManager[Reader]:
        """Open content for reading. Raises NotFound."""

    def create_upload(self, session: StorePath, *, started: datetime) -> AbstractAsyncContextManager[Upload]:
        """Open a new session. It outlives the process, not a power cut: the client then begins anew.

        When it began is to be read at `layout.upload_started` as long as there is the session. `started` is in UTC.

        Raises StorageFull.
        """

    def open_upload(self, session: StorePath, *, wait_s: float) -> AbstractAsyncContextManager[Upload]:
        """Take up a session again. Where somebody else holds it, waits up to `wait_s` seconds.

        Raises NotFound, UploadBusy.
        """

    async def upload_size(self, session: StorePath) -> int:
        """What a session holds, in bytes, without taking it. Raises NotFound."""

    async def close(self) -> None:
        """Wait for what is under way and let go of threads and connections. The driver is of no use afterwards."""
