"""The revocations that a server goes by: those in the storage, looked at once a second, and those of files.

Each answer that relies on a token needs a look that is younger than `fresh_s`: `Watch` and `edge/stale_files.py` see to
that, also after the process was stopped for a while. See docs/decisions/0075-keep-revocations-in-the-store.md.
"""

import asyncio
import math
import time
from typing import TYPE_CHECKING, ClassVar

import structlog

from authproxy.clock import Clock, uptime_s
from authproxy.errors import RegistryError, StartError, Unavailable
from authproxy.log.alarms import sound
from authproxy.token.revocation_store import SETTLES_S, Found, RevocationStore, imported
from authproxy.token.revocation_table import Seen, Table, restarted
from authproxy.token.revocations import LEARNED_WITHIN_S, RevocationFolder

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

# How long the thread that watches waits for a look, in seconds.
ENDS_WITHIN_S = 10.0


class StoredRevocations:
    """Revocations in the storage. `files`: a folder of earlier versions, whose revocations are taken over once.

    `now`: since boot, runs while suspended; `today`: seconds since 1970.
    """

    part: ClassVar = "stored revocations"
    takes_access_away: ClassVar = True
    fresh_s: ClassVar = float(LEARNED_WITHIN_S)

    def __init__(
        self,
        store: RevocationStore,
        *,
        files: RevocationFolder | None = None,
        now: Clock = uptime_s,
        today: Clock = time.time,
        settles_s: float = SETTLES_S,
    ) -> None:
        self.version: object = object()
        self.looked_at = -math.inf
        self.changed: Callable[[], None] = lambda: None
        self._store = store
        self._files = files
        self._now = now
        self._today = today
        self._settles_s = settles_s
        self._table: Table | None = None
        self._content: bytes | None = None
        self._seen = Seen()
        self._doubts: tuple[bytes | None, float] | None = None  # a table that seems older, and since when
        self._looking: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"StoredRevocations({self._table})" if self._table is None else f"StoredRevocations({self._seen})"

    def refuses(self, subject: str, issued_at: float) -> bool:
        """See Revocations. Raises Unavailable before the first look has succeeded."""
        if self._table is None:
            raise Unavailable("this node has not read yet whose tokens are revoked")
        return self._table.refuses(subject, issued_at)

    async def look(self) -> None:
        """Read the revocations if they have changed. Callers at the same time share a look. Raises what went wrong."""
        if self._looking is None or self._looking.done():
            self._loop = asyncio.get_running_loop()
            self._looking = asyncio.create_task(self._look())
        await asyncio.shield(self._looking)

    def refresh(self) -> None:
        """See Reloadable: a look on the event loop, from another thread."""
        if self._loop is None:
            raise StartError("the revocations in the storage were not read yet")
        look = self.look()
        try:
            future = asyncio.run_coroutine_threadsafe(look, self._loop)
        except RuntimeError as exc:  # the server is ending, and so has its event loop
            look.close()
            raise StartError("the server is ending") from exc
        try:
            future.result(ENDS_WITHIN_S)
        except TimeoutError:
            future.cancel()
            raise StartError("the storage with the revocations does not answer") from None
        except RegistryError as exc:
            raise StartError(f"the revocations in the storage can't be read: {exc}") from exc

    async def _look(self) -> None:
        began = self._now()
        content = await self._store.content()
        if self._table is None or content != self._content:
            await self._read()
        self.looked_at = began

    async def _read(self) -> None:
        found, seen = await self._store.read_continued(self._seen)
        if seen is None:
            self._doubts = None
            await self._take(found)
        else:
            await self._doubt(found, seen)

    async def _take(self, found: Found) -> None:
        is_first = self._table is None
        self._table, self._seen = found.table, found.seen
        self._content = None if found.record is None else found.record.content
        self._renew()
        if not is_first:
            log.info("revocations reloaded", number=found.table.number, subjects=len(found.table.subjects))
        await self._store.note(found)
        if is_first and self._files is not None and not found.table.are_files_imported:
            await self._take_over(self._files)

    async def _take_over(self, files: RevocationFolder) -> None:
        try:
            await self._store.change(imported(files.current), settles_s=self._settles_s)
        except Exception as exc:  # noqa: BLE001 - they are in force from the files in any case
            reason = str(exc) or repr(exc)
            log.warning("revocations of files are not in the storage yet", folder=str(files.folder), reason=reason)

    async def _doubt(self, found: Found, seen: Seen) -> None:
        """What was read is older than what was seen: if that lasts, nothing issued until now is accepted."""
        content, now = None if found.record is None else found.record.content, self._now()
        if self._doubts is None or self._doubts[0] != content:
            self._doubts = content, now
        if now - self._doubts[1] < self._settles_s:
            raise StartError(
                f"the revocations in the storage (number {found.table.number}) are older than those seen before (number"
                f" {seen.number}); looking again for {self._settles_s:.0f} seconds"
            )
        self._doubts = None
        sound(
            "revocations were lost, so all logins have ended",
            reason="the storage is older than the keys, as after a restored backup",
            found=found.table.number,
            seen=seen.number,
        )
        try:
            written = await self._store.restart(found, seen)
        except Exception as exc:  # noqa: BLE001 - it must be in force here, whether or not it can be written
            log.warning("the end of all logins is not in the storage", reason=str(exc) or repr(exc))
            self._table = restarted(seen, found.table, self._today() + LEARNED_WITHIN_S)
            self._seen, self._content = seen, content
            self._renew()
            return
        if written is None:
            raise StartError("the revocations in the storage are changing")
        await self._take(written)

    def _renew(self) -> None:
        self.version = object()
        self.changed()


class EitherRevokes:
    """Revocations in files and in the storage: what one of them refuses is refused."""

    def __init__(self, files: RevocationFolder, stored: StoredRevocations) -> None:
        self.version: object = object()
        self._files = files
        self._stored = stored
        files.changed = stored.changed = self._renew

    def refuses(self, subject: str, issued_at: float) -> bool:
        """See Revocations. Raises Unavailable."""
        return self._stored.refuses(subject, issued_at) or self._files.refuses(subject, issued_at)

    def _renew(self) -> None:
        self.version = object()
