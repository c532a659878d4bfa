"""Retention: which images of a repository stay. Values and the decision; no file is read here.

    RetentionRule ── repositories, excepted, tags    the images that the entry is about
                  ├─ keep        any of these keeps an image; what none of them keeps is removed
                  └─ untagged    the same for manifests without a tag; None: these stay

An image that no entry is about is never touched. Where several entries are about an image, it stays as long as one of
them keeps it, so their order and their files have no effect. Reasons: docs/decisions/0071-keep-what-any-entry-keeps.md.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from heapq import nlargest
from pathlib import Path
from typing import NamedTuple, TypeAlias

from authproxy.digest import Digest
from authproxy.policy.glob import Glob
from authproxy.policy.running_images import RunningImages
from authproxy.policy.tags import TagGlob
from authproxy.principal import ANONYMOUS
from authproxy.reference import Tag

# How far the clocks of nodes may differ. A push that is later than this is in the future.
CLOCK_SKEW = timedelta(minutes=5)

_TIME = "%Y-%m-%dT%H:%M:%SZ"

# Tags of signatures and the like, with the digest of what they belong to: cosign's `sha256-<hex>.sig`, and the fallback
# tag of OCI Distribution 1.1, "Referrers Tag Schema", which cuts the digits at 64.
_ATTACHED = re.compile(r"((?:sha256|sha512)-[0-9a-f]{64})(?:\.(?:sig|att|sbom))?")

# Why a tag may not be deleted; None: it may. For an untagged manifest the tag is None.
Protection: TypeAlias = Callable[[Tag | None], str | None]


class RetentionRefused(Exception):
    """Retention does not run; the text says why."""


class KeepKind(StrEnum):
    """What an item of `keep` asks, by its key."""

    TAGS = "tags"
    NEWEST = "newest"
    LAST_PULLED = "last-pulled"
    PUSHED_WITHIN = "pushed-within"
    PULLED_WITHIN = "pulled-within"
    IMAGES = "images"


@dataclass(frozen=True, slots=True)
class Keep:
    """One item of `keep` or `untagged`. Tag globs narrow it; `text` is its value as the file has it."""

    kind: KeepKind
    text: str
    file: str
    line: int
    tags: tuple[TagGlob, ...] = ()
    count: int = 0
    within: timedelta = timedelta()
    images: Path = Path()
    hosts: frozenset[str] = frozenset()  # none: names of every registry count

    def is_about(self, tag: Tag | None) -> bool:
        """Whether the tag is among those that the item is narrowed to."""
        return not self.tags or (tag is not None and any(glob.matches(tag) for glob in self.tags))

    @property
    def place(self) -> str:
        """`policies/team.yaml:12`."""
        return f"{self.file}:{self.line}"

    def __str__(self) -> str:
        tags = f"tags {', '.join(map(str, self.tags))}"
        if self.kind is KeepKind.TAGS:
            return tags
        return f"{self.kind} {self.text}{f' of {tags}' if self.tags else ''}"


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """One entry of `retention` in a policy file."""

    name: str
    description: str
    repositories: tuple[Glob, ...]
    excepted: tuple[Glob, ...]
    tags: tuple[TagGlob, ...]  # none: all tags
    keep: tuple[Keep, ...]
    untagged: tuple[Keep, ...] | None  # None: untagged manifests stay
    is_dry: bool
    file: str
    line: int

    def concerns(self, repository: str) -> bool:
        """Whether the entry is about a repository."""
        segments = repository.split("/")
        if not any(glob.matches(segments, ANONYMOUS) for glob in self.repositories):
            return False
        return not any(glob.matches(segments, ANONYMOUS) for glob in self.excepted)

    def is_about(self, tag: Tag | None) -> bool:
        """Whether the entry is about a tag, or about manifests without one, of the repositories that it concerns."""
        if tag is None:
            return self.untagged is not None
        return not self.tags or any(glob.matches(tag) for glob in self.tags)

    def items_for(self, tag: Tag | None) -> tuple[Keep, ...]:
        """The items of which any keeps such an image. What runs keeps untagged manifests too."""
        if tag is not None:
            return self.keep
        return (*(self.untagged or ()), *(item for item in self.keep if item.kind is KeepKind.IMAGES))

    @property
    def files(self) -> frozenset[Path]:
        """The files with running images that the entry reads."""
        items = (*self.keep, *(self.untagged or ()))
        return frozenset(item.images for item in items if item.kind is KeepKind.IMAGES)

    @property
    def place(self) -> str:
        """`policies/team.yaml:3`."""
        return f"{self.file}:{self.line}"

    def __str__(self) -> str:
        return f'{self.place} "{self.name}"'


@dataclass(frozen=True, slots=True)
class Image:
    """A tag, or a manifest without one that has had a tag, or that no other manifest of the repository names."""

    digest: Digest
    tag: Tag | None
    pushed: datetime | None = None  # None: unknown
    pulled: datetime | None = None  # None: unknown, or never
    names: frozenset[Digest] = frozenset()  # the manifests below it: those of an index, and of indexes in it

    @property
    def subject(self) -> str | None:
        """The manifest that this belongs to, `sha256-<hex>`, where its tag says so: it is no image of its own."""
        match = _ATTACHED.fullmatch(self.tag or "")
        return None if match is None else match[1]


class Outcome(StrEnum):
    """What becomes of an image."""

    KEPT = "kept"
    REMOVED = "removed"
    DRY = "would be removed"  # by an entry with dry-run alone


class Retained(NamedTuple):
    """The decision about one image, and why."""

    image: Image
    outcome: Outcome
    reason: str


class Dates(NamedTuple):
    """The time of a decision, and what unknown times count as."""

    now: datetime
    began: datetime  # when records began

    @classmethod
    def at(cls, now: datetime, records_began: datetime | None) -> "Dates":
        """Without records everything unknown counts as this moment."""
        return cls(now, now if records_began is None else min(records_began, now))

    def pushed(self, image: Image) -> datetime:
        """When an image was pushed. Unknown: when records began."""
        return image.pushed or self.began

    def used(self, image: Image) -> datetime:
        """When an image was last pulled; a push counts as a pull. Unknown: when records began."""
        return max(image.pulled or self.began, self.pushed(image))


def decide_retention(
    repository: str,
    images: Sequence[Image],
    rules: Iterable[RetentionRule],
    *,
    now: datetime,
    records_began: datetime | None,
    running: Mapping[Path, RunningImages] | None = None,
    protection: Protection = lambda _: None,
) -> list[Retained]:
    """Decide about all images of one repository, in their order.

    `running`: the content of each file that an entry names. Raises RetentionRefused where an image was pushed in the
    future: this clock is wrong, or that of the push, and ages mean nothing.
    """
    here = [rule for rule in rules if rule.concerns(repository)]
    if not here:
        return [Retained(image, Outcome.KEPT, "no entry of retention is about it") for image in images]
    check_pushes(repository, images, now)
    decider = _Decider(repository, images, here, Dates.at(now, records_began), running or {}, protection)
    found: list[Retained | None] = [None if image.subject else decider.decide(image) for image in images]
    found = list(_with_named(found))
    attached = _Attached([one for one in found if one is not None])
    return [one or attached.decide(image, protection) for one, image in zip(found, images, strict=True)]


def _with_named(decided: Sequence[Retained | None]) -> Iterator[Retained | None]:
    """The same, but an untagged manifest stays as long as an index that names it."""
    named = {name for one in decided if one is not None and one.outcome is Outcome.KEPT for name in one.image.names}
    for one in decided:
        if one is not None and one.image.tag is None and one.outcome is not Outcome.KEPT and one.image.digest in named:
            yield Retained(one.image, Outcome.KEPT, "an index that is kept names it")
        else:
            yield one


def check_pushes(repository: str, images: Iterable[Image], now: datetime) -> None:
    """Raise RetentionRefused where an image was pushed in the future."""
    newest = max((image.pushed for image in images if image.pushed is not None), default=now)
    if newest > now + CLOCK_SKEW:
        raise RetentionRefused(
            f"{repository}: a push at {newest:{_TIME}} is later than now, {now:{_TIME}}: the clock of this machine is"
            " behind, or that of the machine that took the push was ahead; correct it"
        )


class _Decider:
    """Decides about images that have no subject."""

    def __init__(
        self,
        repository: str,
        images: Iterable[Image],
        rules: Sequence[RetentionRule],
        dates: Dates,
        running: Mapping[Path, RunningImages],
        protection: Protection,
    ) -> None:
        self._repository = repository
        self._rules = rules
        self._dates = dates
        self._running = running
        self._protection = protection
        self._counted = dict(self._count(images))

    def decide(self, image: Image) -> Retained:
        about = [rule for rule in self._rules if rule.is_about(image.tag)]
        if not about:
            return Retained(image, Outcome.KEPT, "no entry of retention is about it")
        for rule in about:
            for item in rule.items_for(image.tag):
                if item.is_about(image.tag) and self._keeps(item, rule, image):
                    return Retained(image, Outcome.KEPT, f'kept by {item.place} "{rule.name}": {item}')
        if (why := self._protection(image.tag)) is not None:
            return Retained(image, Outcome.KEPT, why)
        removing = next((rule for rule in about if not rule.is_dry), None)
        if removing is None:
            return Retained(image, Outcome.DRY, f"would be removed by {about[0]}, which has dry-run")
        return Retained(image, Outcome.REMOVED, f"removed by {removing}: nothing in it keeps this")

    def _keeps(self, item: Keep, rule: RetentionRule, image: Image) -> bool:
        match item.kind:
            case KeepKind.TAGS:
                return True
            case KeepKind.NEWEST | KeepKind.LAST_PULLED:
                return image.digest in self._counted[rule.place, item.place, image.tag is None]
            case KeepKind.PUSHED_WITHIN:
                return self._dates.now - self._dates.pushed(image) <= item.within
            case KeepKind.PULLED_WITHIN:
                return self._dates.now - self._dates.used(image) <= item.within
            case KeepKind.IMAGES:
                running = self._running[item.images]
                return running.include(self._repository, image.tag, (image.digest, *image.names), item.hosts)

    def _count(self, images: Iterable[Image]) -> Iterator[tuple[tuple[str, str, bool], Collection[Digest]]]:
        """The digests that each item with a count keeps, among tagged images or among untagged ones."""
        plain = [image for image in images if image.subject is None]
        for rule in self._rules:
            for item in rule.keep:
                if item.count:
                    yield (rule.place, item.place, False), self._first(item, (i for i in plain if _is_counted(i, rule)))
            for item in rule.untagged or ():
                if item.count:
                    yield (rule.place, item.place, True), self._first(item, (i for i in plain if i.tag is None))

    def _first(self, item: Keep, images: Iterable[Image]) -> Collection[Digest]:
        """The digests that are first by their known times, and all that are not later than the last of these.

        Images are counted, not tags: an image with many tags counts once. One whose time is unknown takes no place of
        another, and so does one that was pushed and not pulled yet among those that were pulled last.
        """
        known: dict[Digest, datetime] = {}
        counting_as: dict[Digest, datetime] = {}
        is_by_push = item.kind is KeepKind.NEWEST
        for image in images:
            if not item.is_about(image.tag):
                continue
            time = image.pushed if is_by_push else image.pulled
            if time is not None:
                known[image.digest] = max(known.get(image.digest, time), time)
            time = self._dates.pushed(image) if is_by_push else self._dates.used(image)
            counting_as[image.digest] = max(counting_as.get(image.digest, time), time)
        if len(known) < item.count:
            return counting_as.keys()
        last = nlargest(item.count, known.values())[-1]
        return {digest for digest, time in counting_as.items() if time >= last}


def _is_counted(image: Image, rule: RetentionRule) -> bool:
    return image.tag is not None and rule.is_about(image.tag)


class _Attached:
    """Decides about signatures and the like: they stay as long as what they belong to, and go with it."""

    def __init__(self, decided: Iterable[Retained]) -> None:
        self._by_subject: dict[str, Outcome] = {}
        # The order matters: what one image keeps, another doesn't remove.
        of_outcome: dict[Outcome, list[Image]] = {outcome: [] for outcome in Outcome}
        for one in decided:
            of_outcome[one.outcome].append(one.image)
        for outcome in (Outcome.REMOVED, Outcome.DRY, Outcome.KEPT):
            for image in of_outcome[outcome]:
                digests = (image.digest, *image.names)
                self._by_subject.update((f"{one.algorithm}-{one.hex[:64]}", outcome) for one in digests)

    def decide(self, image: Image, protection: Protection) -> Retained:
        outcome = self._by_subject.get(image.subject or "")
        if outcome is None:
            return Retained(image, Outcome.KEPT, "belongs to a manifest that is not here")
        if outcome is Outcome.KEPT:
            return Retained(image, Outcome.KEPT, f"belongs to {image.subject}, which is kept")
        if (why := protection(image.tag)) is not None:
            return Retained(image, Outcome.KEPT, why)
        return Retained(image, outcome, f"belongs to {image.subject}, which {_VERBS[outcome]}")


_VERBS = {Outcome.REMOVED: "is removed", Outcome.DRY: "would be removed"}
