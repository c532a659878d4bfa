"""One verification, from its position to its end: the bytes of all blobs, then the repositories, then who is hit."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from authproxy.clock import Clock, uptime_s
from authproxy.digest import Digest
from authproxy.maintenance.verify.contents import (
    Gone,
    ReadFailed,
    Sound,
    Unstable,
    Verdict,
    Wrong,
    check_content,
    reason_of,
)
from authproxy.maintenance.verify.findings import Finding, Kind, Severity, shown
from authproxy.maintenance.verify.hit import Hit, find_hit
from authproxy.maintenance.verify.position import Position, Stage
from authproxy.maintenance.verify.repository import RepositoryCheck
from authproxy.maintenance.verify.sample import Sample
from authproxy.maintenance.verify.stored import (
    FAULTS,
    all_content,
    all_repositories,
    ignore,
    in_batches,
    look_at_top,
)
from authproxy.maintenance.verify.throttle import Throttle
from authproxy.registry.quarantine import Damage, find_quarantined, is_isolated, isolate, release
from authproxy.storage import layout, state_layout
from authproxy.storage.driver import Driver
from authproxy.storage.layout import StorePath

# Blobs that are read at the same time: one is hashed while the disk brings the other.
AT_ONCE = 2

# Blobs after which the position moves on.
STEP = 16

# How often the position is saved, in seconds.
SAVE_EVERY_S = 5.0

# More damage than this in one run is a fault of the machine: the rest is not put in quarantine.
MAX_ISOLATED = 10_000


class Watcher(Protocol):
    """Follows a verification."""

    async def save(self, position: Position) -> None:
        """Keep the position, for a run that is interrupted. Called every few seconds, and at the end."""

    def saw(self, position: Position) -> None:
        """Called after every few blobs and each repository."""


class NoWatcher:
    """See Watcher."""

    async def save(self, position: Position) -> None:
        """See Watcher."""

    def saw(self, position: Position) -> None:
        """See Watcher."""


@dataclass(frozen=True, slots=True)
class Verified:
    """The result. `hits`: who is hit, by digest and repository."""

    position: Position
    isolated: tuple[Digest, ...]
    hits: dict[tuple[Digest, str], Hit]


class Verification:
    """Reads a storage, beside anything that happens in it.

    `isolates`: whether damaged content is put in quarantine, which writes records; `at` is the time for these.
    """

    def __init__(
        self,
        driver: Driver,
        position: Position,
        *,
        sample: Sample | None = None,
        rate: int | None = None,
        isolates: bool = False,
        at: str = "",
        watcher: Watcher | None = None,
        save_every_s: float = SAVE_EVERY_S,
        now: Clock = uptime_s,
    ) -> None:
        self._driver = driver
        self._position = position
        self._sample = sample
        self._throttle = Throttle(rate, now=now)
        self._isolates = isolates
        self._at = at
        self._watcher: Watcher = watcher or NoWatcher()
        self._now = now
        self._save_every_s = save_every_s
        self._save_at = now() + save_every_s
        self._isolated: list[Digest] = []
        self._damaged = {
            finding.digest
            for finding in position.findings
            if finding.kind is Kind.CONTENT_DAMAGED and finding.digest is not None
        }

    async def run(self) -> Verified:
        """Read all that has not been read yet. Cancelled: the position is saved. What can't be read is a finding."""
        position = self._position
        try:
            if position.stage is Stage.BLOBS:
                if position.content is None:
                    await look_at_top(self._driver, self._foreign, self._unlisted)
                await self._check_blobs()
                position.stage = Stage.REPOSITORIES if self._sample is None else Stage.DONE
            if position.stage is Stage.REPOSITORIES:
                await self._check_repositories()
                position.stage = Stage.DONE
        finally:
            # Also when it is cancelled: saving is short.
            await asyncio.shield(self._watcher.save(position))
        hits = await self._find_hit()
        if self._isolates:
            await self._release_healed()
        return Verified(position, tuple(self._isolated), hits)

    async def _check_blobs(self) -> None:
        limit = 0
        if self._sample is not None:
            limit = await self._sample.find_limit(self._each())
        content = all_content(self._driver, self._foreign, self._unlisted, after=self._position.content)
        async with aclosing(content) as batches:
            async for batch in batches:
                for step in in_batches(batch, STEP):
                    chosen = [digest for digest in step if self._sample is None or self._sample.includes(digest, limit)]
                    await self._check_all(chosen)
                    self._position.content = step[-1]
                    await self._moved()

    async def _each(self) -> AsyncIterator[Digest]:
        async for batch in all_content(self._driver, ignore, ignore):
            for digest in batch:
                yield digest

    async def _check_all(self, digests: list[Digest]) -> None:
        rest, before = iter(digests), (self._position.blobs, self._position.read_bytes)

        async def check_each() -> None:
            for digest in rest:
                verdict = await check_content(self._driver, digest, self._throttle)
                await self._judge(digest, verdict)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(check_each())
        except BaseException:  # all of them will be read again, and counted then
            self._position.blobs, self._position.read_bytes = before
            raise

    async def _judge(self, digest: Digest, verdict: Verdict) -> None:
        path = layout.blob(digest)
        self._position.blobs += 1
        match verdict:
            case Sound(size):
                self._position.read_bytes += size
            case Gone():
                await self._look_at_empty_folder(digest)
            case Wrong(version, size):
                self._position.read_bytes += size
                words = f"{size} bytes of something else" if size else "empty"
                self._add(Finding(Kind.CONTENT_DAMAGED, path, f"{digest} is {words}", digest))
                if size:  # an empty file counts as missing without a quarantine
                    await self._isolate(Damage(digest, version))
            case ReadFailed(reason):
                self._add(Finding(Kind.UNREADABLE, path, f"{digest} can't be read: {shown(reason)}", digest))
            case Unstable():
                text = f"two reads of {digest} were wrong in two ways, or the second was right"
                self._add(Finding(Kind.UNSTABLE, path, text, digest))

    async def _look_at_empty_folder(self, digest: Digest) -> None:
        """A folder without content is what a broken-off push leaves, unless it is deleted at this moment."""
        folder = layout.blobs(digest.algorithm, digest.hex[:2])
        before = digest.hex[:-1] + chr(ord(digest.hex[-1]) - 1)
        try:
            names = await self._driver.list_names(folder, after=before, limit=2)
            is_empty = digest.hex in names and await self._driver.version(layout.blob(digest)) is None
        except FAULTS as error:
            self._unlisted(folder, error)
            return
        if is_empty:
            self._add(Finding(Kind.FOREIGN, f"{folder}/{digest.hex}", "a folder of a blob without the blob", digest))

    async def _isolate(self, damage: Damage) -> None:
        if not self._isolates or len(self._isolated) >= MAX_ISOLATED:
            return
        try:
            await isolate(self._driver, damage, at=self._at)
        except FAULTS as error:
            path = layout.blob(damage.digest)
            text = f"{damage.digest} can't be put in quarantine: {shown(reason_of(error))}"
            self._add(Finding(Kind.UNREADABLE, path, text, damage.digest))
            return
        self._isolated.append(damage.digest)

    async def _release_healed(self) -> None:
        """Remove the records of content that was pushed again, or deleted."""
        try:
            healed = [
                digest async for digest in find_quarantined(self._driver) if not await is_isolated(self._driver, digest)
            ]
            for digest in healed:
                await release(self._driver, digest)
        except FAULTS as error:
            text = f"what is in quarantine can't be looked through: {shown(reason_of(error))}"
            self._add(Finding(Kind.UNREADABLE, state_layout.quarantine("sha256"), text))

    async def _check_repositories(self) -> None:
        check = RepositoryCheck(
            self._driver, self._throttle, self._add, self._foreign, self._unlisted, self._damaged.__contains__
        )
        names = all_repositories(self._driver, self._foreign, self._unlisted, after=self._position.repository)
        async with aclosing(names) as repositories:
            async for name in repositories:
                await check.check(name)
                self._position.repositories += 1
                self._position.repository = name
                await self._moved()

    async def _find_hit(self) -> dict[tuple[Digest, str], Hit]:
        findings = self._position.findings
        wanted = {
            finding.digest
            for finding in findings
            if finding.severity is not Severity.WARNING and finding.digest is not None
        }
        named = {finding.repository for finding in findings if finding.digest in wanted and finding.repository}
        hits = dict(await find_hit(self._driver, wanted, named))
        by_digest: defaultdict[Digest, list[Hit]] = defaultdict(list)
        for (digest, _), hit in hits.items():
            by_digest[digest].append(hit)
        for place, finding in enumerate(findings):
            if finding.severity is not Severity.WARNING and finding.digest is not None:
                who = [hit for hit in by_digest[finding.digest] if finding.repository in (None, hit.repository)]
                images = tuple(image for hit in who for image in hit.images)
                findings[place] = finding.with_hit(images, sum(hit.count for hit in who))
        return hits

    def _foreign(self, path: str) -> None:
        self._add(Finding(Kind.FOREIGN, shown(path), "not of a registry"))

    def _unlisted(self, folder: StorePath, error: Exception) -> None:
        self._add(Finding(Kind.UNREADABLE, folder, f"the folder can't be listed: {shown(reason_of(error))}"))

    def _add(self, finding: Finding) -> None:
        if finding.kind is Kind.CONTENT_DAMAGED and finding.digest is not None:
            self._damaged.add(finding.digest)
        self._position.add(finding)

    async def _moved(self) -> None:
        self._watcher.saw(self._position)
        if self._now() >= self._save_at:
            self._save_at = self._now() + self._save_every_s
            await self._watcher.save(self._position)
