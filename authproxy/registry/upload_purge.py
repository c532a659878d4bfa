"""Removing uploads that were given up: storage.maintenance.uploadpurging, as CNCF Distribution does it.

A session counts from its beginning, whatever has come since. One that a request holds at the moment stays. Any number
of processes may purge one storage: what another one has removed is gone, and nobody misses it.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from authproxy.errors import NameInvalid
from authproxy.reference import Repository, parse_repository
from authproxy.storage import layout
from authproxy.storage.driver import Driver, NotFound, UploadBusy

log = structlog.get_logger(__name__)

# Names that one look into a folder brings.
LOOK = 1000

# CNCF Distribution's: servers that start together do not begin together.
FIRST_WITHIN_S = 3600.0


@dataclass(frozen=True, slots=True)
class Purged:
    """A session that was removed, or would have been."""

    repository: Repository
    session: UUID
    started: datetime


async def purge_uploads(driver: Driver, *, older_than: datetime, dry_run: bool) -> list[Purged]:
    """Remove the sessions that began before `older_than`; with `dry_run` only tell them.

    One whose beginning can't be read stays: nobody knows how old it is. Raises what the storage raises.
    """
    purged: list[Purged] = []
    async for repository in _names(driver, ""):
        purged += [
            found
            async for found in _sessions(driver, repository)
            if found.started < older_than and (dry_run or await _remove(driver, found))
        ]
    return purged


class PurgeUploads:
    """Purges again and again, beside the requests.

    `age`: how long ago a session must have begun; `interval`: between two rounds; the first one comes at a random time
    within `first_within_s` seconds. `removed` is told how many went.
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
        """Go on until cancelled. A round that fails is logged, and the next one comes in its time."""
        await asyncio.sleep(random.SystemRandom().uniform(0, self._first_within_s))
        while True:
            await self._purge()
            await asyncio.sleep(self._interval.total_seconds())

    async def _purge(self) -> None:
        older_than = self._now() - self._age
        try:
            purged = await purge_uploads(self._driver, older_than=older_than, dry_run=self._dry_run)
        except Exception:  # whatever the storage meets, it must not end the purging for good
            log.exception("purging uploads failed")
            return
        log.info("purged uploads", uploads=len(purged), older_than=older_than.isoformat(), dry_run=self._dry_run)
        if not self._dry_run:
            self._removed(len(purged))


async def _remove(driver: Driver, found: Purged) -> bool:
    session = layout.upload(found.repository, found.session)
    try:
        async with driver.open_upload(session, wait_s=0) as upload:
            await upload.abort()
    except UploadBusy:
        return False
    except NotFound:  # without data: what a crash left behind
        return await driver.delete_tree(session)
    return True


async def _sessions(driver: Driver, repository: Repository) -> AsyncIterator[Purged]:
    async for name in _list(driver, layout.uploads(repository)):
        with suppress(ValueError):  # a name that is no session's, or a time that is none
            session = UUID(name)
            [text] = await driver.read([layout.upload_started(repository, session)])
            if text is not None and (started := datetime.fromisoformat(text.decode().strip())).tzinfo is not None:
                yield Purged(repository, session, started)


async def _names(driver: Driver, prefix: str) -> AsyncIterator[Repository]:
    """Every name below a folder of repositories ("" or ending in a slash), be it a repository or on the way to one."""
    folder = layout.repository(Repository(prefix.removesuffix("/"))) if prefix else layout.repositories()
    async for entry in _list(driver, folder):
        try:
            name = parse_repository(prefix + entry)
        except NameInvalid:  # _layers and _manifests, and what is not ours
            continue
        yield name
        async for below in _names(driver, f"{name}/"):
            yield below


async def _list(driver: Driver, folder: layout.StorePath) -> AsyncIterator[str]:
    names = await driver.list_names(folder, limit=LOOK)
    while names:
        for name in names:
            yield name
        names = await driver.list_names(folder, after=names[-1], limit=LOOK) if len(names) == LOOK else []
