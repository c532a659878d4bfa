"""Retention from the policies to the deletions: what the job and `authproxy policy retention` do."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import NamedTuple

import structlog

from authproxy.clock import Clock, uptime_s
from authproxy.digest import Digest
from authproxy.log.alarms import sound
from authproxy.maintenance.retention.contents import PullTimes, RepositoryContents, read_contents
from authproxy.maintenance.retention.deleting import BY, KnownTag, RetentionDeleter, StoreDeleter
from authproxy.maintenance.retention.plan import PlannedImage, RetentionPlan, find_removable, in_order, make_plan
from authproxy.maintenance.retention.steady_clock import ClockLook, SteadyClock
from authproxy.policy.load import Loaded, load_all
from authproxy.policy.retention import Outcome, RetentionRefused, RetentionRule, decide_retention
from authproxy.policy.retention_protection import find_protection
from authproxy.policy.running_images import RunningImages, RunningImagesUnusable, read_running_images
from authproxy.reference import Repository
from authproxy.registry.deleter import Reason, UntaggedManifest
from authproxy.registry.pull_times import PullTimes as LoadedPullTimes
from authproxy.registry.repository_walk import all_repositories
from authproxy.storage.driver import Driver
from authproxy.storage.records import Fields, Records

log = structlog.get_logger(__name__)

# How long a run goes on with the policies, the running images and the pull times that it has read.
FRESH_FOR = timedelta(minutes=10)

# Images whose tags are removed before their manifests: a process that stops in between leaves so many without a tag.
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Retention:
    """Entries of retention with all that they need, as they were at one time."""

    loaded: Loaded
    running: Mapping[Path, RunningImages]
    pull_times: PullTimes | None
    now: datetime

    async def plan(self, driver: Driver, repository: Repository) -> RetentionPlan | None:
        """Decide about a repository; None if no entry is about it. Raises RetentionRefused and the storage's errors."""
        rules = [rule for rule in self.loaded.retention if rule.concerns(repository)]
        if not rules:
            return None
        contents = await read_contents(driver, repository, self.pull_times)
        return await asyncio.to_thread(self._decide, contents, rules)  # a hundred thousand images take seconds

    def _decide(self, contents: RepositoryContents, rules: Sequence[RetentionRule]) -> RetentionPlan:
        decided = decide_retention(
            contents.repository,
            contents.images,
            rules,
            now=self.now,
            records_began=None if self.pull_times is None else self.pull_times.records_began(),
            running=self.running,
            protection=find_protection(self.loaded.policies, contents.repository, now=self.now.timestamp()),
        )
        return make_plan(contents, decided)


def load_retention(path: Path, pull_times: PullTimes | None, now: datetime, *, needs_rule: bool = True) -> Retention:
    """Read the policies, and every file of running images that they name.

    Raises PolicyError, and RetentionRefused where such a file does not say what runs: nothing may be removed anywhere.
    """
    loaded = load_all(path, needs_rule=needs_rule)
    running: dict[Path, RunningImages] = {}
    for rule in loaded.retention:
        for item in (*rule.keep, *(rule.untagged or ())):
            if item.images == Path():
                continue
            try:
                if item.images not in running:
                    running[item.images] = read_running_images(item.images, now=now)
            except RunningImagesUnusable as exc:
                raise RetentionRefused(f"{item.place}: {exc}") from None
            if item.hosts and not running[item.images].has_host(item.hosts):
                raise RetentionRefused(
                    f"{item.place}: {item.images}: names no image of {', '.join(sorted(item.hosts))}; correct hosts, or"
                    " leave it out"
                )
    return Retention(loaded, running, pull_times, now)


class RemovedImage(NamedTuple):
    """An image that a plan removes; `why_not`: why it stayed, empty if it is gone."""

    planned: PlannedImage
    why_not: str


async def carry_out(plan: RetentionPlan, deleter: RetentionDeleter) -> AsyncIterator[RemovedImage]:
    """Remove what a plan says, and yield each image once it is done with: signatures come after all others.

    What is needed or was pushed since the decision stays. Cancelled: the rest stays, and the next run goes on. Raises
    the errors of the storage.
    """
    removing = plan.with_outcome(Outcome.REMOVED)
    removable = await asyncio.to_thread(find_removable, plan.contents, [one.retained.image for one in removing])
    removal = _Removal(plan.contents, removable, deleter)
    async for removed in removal.remove([one for one in removing if one.retained.image.subject is None]):
        yield removed
    staying = {f"{one.algorithm}-{one.hex[:64]}" for one in plan.contents.manifests if one not in removal.deleted}
    attached = [one for one in removing if one.retained.image.subject is not None]
    for one in attached:
        if one.retained.image.subject in staying:
            yield RemovedImage(one, "what it belongs to stays")
    async for removed in removal.remove([one for one in attached if one.retained.image.subject not in staying]):
        yield removed


class _Removal:
    """Removes images in chunks: first the tags of a chunk, then the manifests that nothing later in the plan needs."""

    def __init__(self, contents: RepositoryContents, removable: set[Digest], deleter: RetentionDeleter) -> None:
        self.deleted: set[Digest] = set()
        self._contents = contents
        self._removable = removable
        self._deleter = deleter
        self._needed: set[Digest] = set()  # although they were removable when it was decided

    async def remove(self, planned: Sequence[PlannedImage]) -> AsyncIterator[RemovedImage]:
        last: dict[Digest, int] = {}
        for place, one in enumerate(planned):
            last.update((digest, place) for digest in self._below(one) if digest in self._removable)
        by_chunk: defaultdict[int, list[Digest]] = defaultdict(list)
        for digest, place in last.items():
            by_chunk[place // CHUNK].append(digest)
        for number in range(ceil(len(planned) / CHUNK)):
            chunk = planned[number * CHUNK : (number + 1) * CHUNK]
            why_not = [await self._remove_tag(one) for one in chunk]
            reasons = {digest: planned[last[digest]].retained.reason for digest in by_chunk[number]}
            await self._remove_manifests(reasons)
            for one, why in zip(chunk, why_not, strict=True):
                image = one.retained.image
                stays = image.tag is None and image.digest not in self.deleted
                yield RemovedImage(one, why or ("something needs it" if stays else ""))

    async def _remove_tag(self, one: PlannedImage) -> str:
        """Remove the tag, if it is one. Returns why not."""
        image, contents = one.retained.image, self._contents
        if image.tag is None:
            return ""
        pushes = contents.pushes.get((image.digest, image.tag))
        linked = contents.linked_by.get(image.tag, image.digest)
        tag = KnownTag(image.tag, linked, image.digest, 0 if pushes is None else pushes.number)
        if await self._deleter.delete_tag(contents.repository, tag, one.retained.reason):
            return ""
        self._needed |= self._below(one)
        return "it was pushed or deleted since"

    async def _remove_manifests(self, reasons: Mapping[Digest, str]) -> None:
        """Remove manifests that are not needed, given why each goes."""
        manifests = [
            UntaggedManifest(digest, self._contents.manifests[digest].names, Reason(BY, reasons[digest]))
            for digest in in_order(self._contents, reasons.keys() - self._needed)
        ]
        gone = await self._deleter.delete_manifests(self._contents.repository, manifests)
        self.deleted |= gone
        self._needed |= self._contents.below(one.stored for one in manifests if one.stored not in gone)

    def _below(self, one: PlannedImage) -> set[Digest]:
        return self._contents.below([one.retained.image.digest])


class RetentionJob:
    """Removes in all repositories what the policies don't keep. Runs before the garbage collector, as often as it."""

    name = "retention"

    def __init__(
        self,
        driver: Driver,
        policies: Path,
        deleter: RetentionDeleter,
        clock: SteadyClock,
        load_pull_times: Callable[[], Awaitable[PullTimes | None]],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        uptime: Clock = uptime_s,
    ) -> None:
        self._driver = driver
        self._policies = policies
        self._deleter = deleter
        self._clock = clock
        self._load_pull_times = load_pull_times
        self._now = now
        self._uptime = uptime

    async def run(self) -> Fields:
        """Run once, over all repositories. Returns what is worth keeping of it.

        Raises PolicyError, RetentionRefused and the errors of the storage: then nothing more is removed.
        """
        read_at = self._uptime()
        retention, look = await self._load()
        if not retention.loaded.retention:
            return {}
        totals = Counter(dict.fromkeys(("repositories", "removed", "would_be_removed", "freed", "skipped"), 0))
        async for repository in all_repositories(self._driver):
            # A clock that is set meanwhile changes no age: the time since the last look at it is added.
            passed = timedelta(seconds=self._uptime() - read_at)
            if passed > FRESH_FOR:
                read_at, passed = self._uptime(), timedelta()
                retention, look = await self._load()
            current = replace(retention, now=look.now + passed)
            totals.update(await self._run_in(current, repository, may_remove=look.is_steady))
        if not look.is_steady:
            log.warning("retention only reports", why=look.why or "the clock has been watched for less than a day")
        log.info("retention ended", **totals, only_reports=not look.is_steady)
        return {**totals, "only_reports": not look.is_steady}

    async def _load(self) -> tuple[Retention, ClockLook]:
        now = self._now()
        retention = await asyncio.to_thread(load_retention, self._policies, None, now)
        if not retention.loaded.retention:
            return retention, ClockLook(now, now, "")
        look = await self._clock.note(now)
        return replace(retention, pull_times=await self._load_pull_times()), look

    async def _run_in(self, retention: Retention, repository: Repository, *, may_remove: bool) -> Counter[str]:
        try:
            plan = await retention.plan(self._driver, repository)
        except RetentionRefused as exc:
            sound("retention skipped a repository", reason=str(exc), repository=repository)
            return Counter(skipped=1)
        if plan is None:
            return Counter()
        totals = Counter(repositories=1, would_be_removed=len(plan.with_outcome(Outcome.DRY)))
        if not may_remove:
            totals["would_be_removed"] += len(plan.with_outcome(Outcome.REMOVED))
            return totals
        async for one in carry_out(plan, self._deleter):
            image, fields = one.planned.retained.image, {"repository": repository}
            if one.why_not:
                log.info("retention kept an image", tag=image.tag, digest=str(image.digest), why=one.why_not, **fields)
                continue
            reason = one.planned.retained.reason
            log.info("retention removed an image", tag=image.tag, digest=str(image.digest), why=reason, **fields)
            totals.update(removed=1, freed=one.planned.frees)
        return totals


def make_retention_job(driver: Driver, policies: Path) -> RetentionJob:
    """The job over a storage, by the policies at a path."""
    return RetentionJob(
        driver, policies, StoreDeleter(driver), SteadyClock(Records(driver)), lambda: LoadedPullTimes.load(driver)
    )
