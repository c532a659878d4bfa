"""Remove abandoned uploads: storage.maintenance.uploadpurging, as CNCF Distribution does it.

The age of a session counts from its beginning, whatever it has received since. One that a request holds at the moment
stays. Any number of processes may purge one storage: a session that another one has removed is skipped.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from authproxy.reference import Repository, is_repository
from authproxy.storage import layout
from authproxy.storage.driver import Driver, NotFound, UploadBusy, list_all
from authproxy.storage.layout import StorePath

log = structlog.get_logger(__name__)

# As in CNCF Distribution: servers that start together do not purge together.
FIRST_WITHIN_S = 3600.0


@dataclass(frozen=True, slots=True)
class AbandonedUpload:
    """A session to remove. `size`: what it has received, in bytes."""

    repository: Repository
    session: UUID
    started: datetime
    size: int


async def purge_uploads(driver: Driver, *, older_than: datetime, dry_run: bool) -> list[AbandonedUpload]:
    """Remove the sessions that began before `older_than`; with `dry_run` only return them.

    A session whose beginning can't be read stays: its age is unknown. Raises the errors of the storage.
    """
    purged: list[AbandonedUpload] = []
    async for repository in _names(driver, ""):
        purged += [
            found
            async for found in _sessions(driver, repository)
            if found.started < older_than and (dry_run or await _remove(driver, found))
        ]
    return purged


class PurgeUploads:
    """Purges at intervals, in the background.

    `age`: how long ago a session must have begun; `interval`: between two rounds; the first one begins at a random time
    within `first_within_s` seconds. `removed` is called with the number of removed sessions.
    """

    def __init__(
        self,
        driver: Driver,
        *,
        age: timedelta,
        interval: timedelta,
        dry_run: bool = False,
        first_within_s: float = FIRST_WITHIN_S,
        removed: Callable[[int], None] = lambda _: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._driver = driver
        self._age = age
        self._interval = interval
        self._dry_run = dry_run
        self._first_within_s = first_within_s
        self._removed = removed
        self._now = now

    async def run(self) -> None:
        """Run until cancelled. A round that fails is logged, and the next one begins on time."""
        await asyncio.sleep(random.SystemRandom().uniform(0, self._first_within_s))
        while True:
            await self._purge()
            await asyncio.sleep(self._interval.total_seconds())

    async def _purge(self) -> None:
        older_than = self._now() - self._age
        try:
            purged = await purge_uploads(self._driver, older_than=older_than, dry_run=self._dry_run)
        except Exception:  # no error of the storage may end the purging for good
            log.exception("purging uploads failed")
            return
        log.info("purged uploads", uploads=len(purged), older_than=older_than.isoformat(), dry_run=self._dry_run)
        if not self._dry_run:
            self._removed(len(purged))


async def _remove(driver: Driver, found: AbandonedUpload) -> bool:
    session = layout.upload(found.repository, found.session)
    try:
        async with driver.open_upload(session, wait_s=0) as upload:
            await upload.abort()
    except UploadBusy:
        return False
    except NotFound:  # without data: what a crash left behind
        return await driver.delete_tree(session)
    return True


async def _sessions(driver: Driver, repository: Repository) -> AsyncIterator[AbandonedUpload]:
    async for names in list_all(driver, layout.uploads(repository)):
        for name in names:
            with suppress(ValueError):  # not the name of a session, or not a valid time
                session = UUID(name)
                [text] = await driver.read([layout.upload_started(repository, session)])
                if text is not None and (started := datetime.fromisoformat(text.decode().strip())).tzinfo is not None:
                    size = await _size(driver, layout.upload(repository, session))
                    yield AbandonedUpload(repository, session, started, size)


async def _size(driver: Driver, session: StorePath) -> int:
    try:
        return await driver.upload_size(session)
    except NotFound:
        return 0


async def _names(driver: Driver, prefix: str) -> AsyncIterator[Repository]:
    """Every name below a folder of repositories ("" or ending in a slash), be it a repository or a parent of one."""
    folder = layout.repository(Repository(prefix.removesuffix("/"))) if prefix else layout.repositories()
    async for entries in driver.scan_names(folder):
        for entry in entries:
            if not is_repository(prefix + entry):  # _layers and _manifests, and foreign files
                continue
            yield (name := Repository(prefix + entry))
            async for below in _names(driver, f"{name}/"):
                yield below
