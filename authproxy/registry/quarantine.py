"""Quarantine: stored content that was found damaged is missing for clients, so that they push it again.

Clients compare digests, so damaged content is of no use to any of them; but as long as the registry says that it is
there, a push skips it. A record in the storage names the content and the version of it that was read: other content at
that path, such as a push puts there, is not in quarantine. So a commit ends a quarantine by itself, in whatever order
the two reach the storage. See docs/decisions/0073-find-damage-and-repair-it.md.
"""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

import structlog

from authproxy.clock import Clock, uptime_s
from authproxy.digest import HEX_LENGTH, Digest, parse_digest
from authproxy.errors import BlobUnknown, DigestInvalid, ManifestBlobUnknown, ManifestUnknown, Unavailable
from authproxy.storage import layout, state_layout
from authproxy.storage.driver import Driver, IsCurrent, NotFound, Reader, WriteGroup, list_all
from authproxy.storage.layout import StorePath
from authproxy.storage.records import Fields, Records, RecordUnreadable

log = structlog.get_logger(__name__)

# How often a process that answers requests lists the records, in seconds.
LOOKS_EVERY_S = 1.0

# Records that a process knows: more damage than this is a broken disk, which no push repairs.
MAX_KNOWN = 100_000

# What a request has met; None where no request is being answered.
_withheld: ContextVar[dict[Digest, None] | None] = ContextVar("authproxy_withheld", default=None)


@dataclass(frozen=True, slots=True)
class Damage:
    """Damaged content, and the version that was read: see `Driver.version`."""

    digest: Digest
    version: str


async def isolate(driver: Driver, damage: Damage, *, at: str) -> None:
    """Put content in quarantine. `at` is when it was read, for people."""
    fields = {"digest": str(damage.digest), "content_version": damage.version, "found": at}

    def change(found: Fields) -> Fields | None:
        return None if found.get("content_version") == damage.version else fields

    await Records(driver).update(state_layout.quarantined(damage.digest), change)


async def release(driver: Driver, digest: Digest) -> None:
    """End the quarantine of a content, if there is one."""
    await driver.delete(state_layout.quarantined(digest))


async def find_quarantined(driver: Driver) -> AsyncIterator[Digest]:
    """All content that has a record, whether or not it is still that which the record names."""
    for algorithm in HEX_LENGTH:
        async for names in list_all(driver, state_layout.quarantine(algorithm)):
            for name in names:
                with suppress(DigestInvalid):
                    yield parse_digest(f"{algorithm}:{name}")


async def is_isolated(driver: Driver, digest: Digest) -> bool:
    """Whether what is stored of this digest now is in quarantine."""
    try:
        record = await Records(driver).read(state_layout.quarantined(digest))
    except RecordUnreadable:  # served again: clients compare digests
        return False
    return record is not None and record.fields.get("content_version") == await driver.version(layout.blob(digest))


class Quarantine:
    """A storage without what is in quarantine, as requests see it: `storage`.

    Without any record the methods of `storage` are those of the driver itself. `is_read_only`: no record is removed.
    """

    def __init__(self, driver: Driver, *, is_read_only: bool = False, now: Clock = uptime_s) -> None:
        self._driver = driver
        self._is_read_only = is_read_only
        self._now = now
        self._next = -math.inf
        self.is_empty = True  # whether no content had a record at the last look; read for each request
        self._suspects: Mapping[StorePath, Digest] = {}
        self._view = _View(driver, self._find_damaged)
        self.storage = cast("Driver", self._view)

    @property
    def is_due(self) -> bool:
        """Whether `look` is to be called before the next request is answered."""
        return self._now() >= self._next

    async def look(self) -> None:
        """List the records. A storage that doesn't answer leaves what is known."""
        due = self._now() + LOOKS_EVERY_S
        if self._next > -math.inf:  # others need not wait for this look, but all wait for the first
            self._next = due
        suspects: dict[StorePath, Digest] = {}
        try:
            async for digest in find_quarantined(self._driver):
                suspects[layout.blob(digest)] = digest
                if len(suspects) >= MAX_KNOWN:
                    break
        except (OSError, Unavailable) as error:
            log.warning("the quarantine can't be listed", reason=str(error))
        else:
            self._take(suspects)
        self._next = due

    def _take(self, suspects: Mapping[StorePath, Digest]) -> None:
        if suspects != self._suspects:
            self._suspects = suspects
            self.is_empty = not suspects
            self._view.change(is_empty=not suspects)

    async def explain(self, answering: Awaitable[None]) -> None:
        """Answer a request. An error says so where the request met content in quarantine."""
        met: dict[Digest, None] = {}
        token = _withheld.set(met)
        try:
            await answering
        except (BlobUnknown, ManifestUnknown, ManifestBlobUnknown) as error:
            if not met:
                raise
            more = f" and {len(met) - 1} more" if len(met) > 1 else ""
            raise type(error)(
                f"{error}: the stored content of {next(iter(met))}{more} is damaged, and a push repairs it",
                detail=error.detail,
                headers=error.headers,
            ) from error
        finally:
            _withheld.reset(token)

    async def _find_damaged(self, paths: Sequence[StorePath]) -> Collection[StorePath]:
        """The paths whose content is in quarantine as of now, past every cache."""
        damaged: list[StorePath] = []
        for path in paths:
            digest = self._suspects.get(path)
            if digest is None:
                continue
            if await is_isolated(self._driver, digest):
                damaged.append(path)
                if (met := _withheld.get()) is not None:
                    met[digest] = None
            elif not self._is_read_only:
                await release(self._driver, digest)
        return damaged


class _View:
    """See `driver.Driver`. What it doesn't have itself are the driver's methods."""

    read: Callable[..., Awaitable[list[bytes | None]]]
    sizes: Callable[..., Awaitable[list[int | None]]]
    open_reader: Callable[..., Any]

    def __init__(
        self, driver: Driver, find_damaged: Callable[[Sequence[StorePath]], Awaitable[Collection[StorePath]]]
    ) -> None:
        self._driver = driver
        self._find_damaged = find_damaged
        self._generation = object()
        self.change(is_empty=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)

    def change(self, *, is_empty: bool) -> None:
        """Begin or stop to look at each path. Cached responses are made again."""
        self._generation = object()
        self.read = self._driver.read if is_empty else self._read
        self.sizes = self._driver.sizes if is_empty else self._sizes
        self.open_reader = self._driver.open_reader if is_empty else self._open_reader

    def content_check(self, contents: WriteGroup) -> IsCurrent | None:
        """See `driver.Driver`. It holds until the quarantine changes."""
        is_current, generation = self._driver.content_check(contents), self._generation
        if is_current is None:
            return None
        return lambda: self._generation is generation and is_current()

    async def _read(self, paths: Sequence[StorePath], *, fresh: bool = False) -> list[bytes | None]:
        found = await self._driver.read(paths, fresh=fresh)
        damaged = await self._find_damaged(paths)
        return [None if path in damaged else content for path, content in zip(paths, found, strict=True)]

    async def _sizes(self, paths: Sequence[StorePath]) -> list[int | None]:
        found = await self._driver.sizes(paths)
        damaged = await self._find_damaged(paths)
        return [None if path in damaged else size for path, size in zip(paths, found, strict=True)]

    @asynccontextmanager
    async def _open_reader(self, path: StorePath, first: int = 0, length: int | None = None) -> AsyncIterator[Reader]:
        if await self._find_damaged([path]):
            raise NotFound
        async with self._driver.open_reader(path, first, length) as reader:
            yield reader
