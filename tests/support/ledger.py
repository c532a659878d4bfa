"""What the clients of a storm were promised, and so what they may find afterwards. No I/O.

A request that broke off may have been done or not, and it may still be done for a while: until then both are right.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

# A write that was never answered has taken place by then, counted from the end of its client, or it never will.
LANDS_WITHIN_S = 30.0


class Kind(Enum):
    """What a request does."""

    PUSH = "push"
    DELETE_TAG = "delete tag"
    DELETE_IMAGE = "delete image"  # by digest, with the tags that point at it
    UNDELETE = "undelete"  # sets a tag that is absent to what it was


class Fate(Enum):
    """What became of a request."""

    UNKNOWN = "unknown"
    DONE = "done"
    REFUSED = "refused"  # nothing was changed


@dataclass(frozen=True, slots=True)
class Name:
    """A tag or a digest in a repository."""

    repository: str
    reference: str

    def __str__(self) -> str:
        return f"{self.repository}{'@' if ':' in self.reference else ':'}{self.reference}"


@dataclass(eq=False, slots=True)
class Operation:
    """One request, by the monotonic clock. `latest`: when it has taken place at the latest."""

    kind: Kind
    digest: str | None
    began: float
    latest: float = float("inf")
    fate: Fate = Fate.UNKNOWN


@dataclass
class Ledger:
    """What was done to each tag and each image, as far as it still counts.

    `fleeting`: repositories in which anything may go at any time. `grace_s`: how long an image without a tag is kept
    after its push.
    """

    grace_s: float = float("inf")
    fleeting: frozenset[str] = frozenset()
    tags: dict[Name, list[Operation]] = field(default_factory=dict)
    pushes: defaultdict[Name, list[Operation]] = field(default_factory=lambda: defaultdict(list))  # by digest
    deletes: defaultdict[Name, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    undeletes: defaultdict[str, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    pointed_at: defaultdict[Name, set[str]] = field(default_factory=lambda: defaultdict(set))  # by each tag, ever

    @contextmanager
    def push(self, tag: Name | None, image: Name) -> Iterator[Operation]:
        """Somebody pushes an image, by this tag or by its digest."""
        operation = self._begin(Kind.PUSH, tag, image.reference)
        self.pushes[image] = [*self.pushes[image][-5:], operation]
        if tag is not None:
            self.pointed_at[tag].add(image.reference)
        with _ending(operation):
            yield operation

    @contextmanager
    def delete(self, name: Name) -> Iterator[Operation]:
        """Somebody deletes a tag; or an image, and the tags that point at it go too."""
        is_image = ":" in name.reference
        if is_image:
            operation = self._begin(Kind.DELETE_IMAGE, None, name.reference)
            self.deletes[name].append(operation)
        else:
            operation = self._begin(Kind.DELETE_TAG, name, None)
        with _ending(operation):
            yield operation

    @contextmanager
    def undelete(self, tag: Name) -> Iterator[Operation]:
        """Somebody restores a tag, with its image."""
        operation = self._begin(Kind.UNDELETE, tag, None)
        self.undeletes[tag.repository].append(operation)
        with _ending(operation):
            yield operation

    def allowed(self, tag: Name) -> set[str | None]:
        """What a tag may point at now. None: it may be missing."""
        operations = self.tags.get(tag, [])
        live = [one for one in operations if not _is_superseded(one, operations)]
        if tag in self.tags:
            self.tags[tag] = live
        values: set[str | None] = {None} if not live or tag.repository in self.fleeting else set()
        for one in live:
            values |= self._values(tag, one)
        return values

    def _values(self, tag: Name, one: Operation) -> set[str | None]:
        if one.kind is Kind.DELETE_TAG:
            return {None}
        if one.kind is Kind.UNDELETE:
            ever = self.pointed_at[tag]
            is_threatened = any(self._may_be_deleted(tag.repository, digest, one) for digest in ever)
            return {*ever, *([None] if is_threatened else [])}
        assert one.digest is not None
        deletes = self.deletes[Name(tag.repository, one.digest)]
        if any(other.fate is Fate.DONE and other.began > one.latest for other in deletes):
            return {None}
        return {one.digest, *([None] if self._may_be_deleted(tag.repository, one.digest, one) else [])}

    def _may_be_deleted(self, repository: str, digest: str, since: Operation) -> bool:
        deletes = self.deletes[Name(repository, digest)]
        return any(other.fate is not Fate.REFUSED and other.latest > since.began for other in deletes)

    def certain(self) -> list[tuple[Name, str]]:
        """The tags that are there without a doubt, and what they point at."""
        found = [(tag, self.certainly(tag)) for tag in list(self.tags)]
        return [(tag, digest) for tag, digest in found if digest is not None]

    def certainly(self, tag: Name) -> str | None:
        """What a tag points at without a doubt."""
        values = self.allowed(tag)
        return next(iter(values)) if len(values) == 1 else None

    def recent(self, now: float | None = None) -> list[Name]:
        """Images whose push was answered less than a grace ago, and that nobody was asked to delete since."""
        now = time.monotonic() if now is None else now
        found = []
        for image, pushes in self.pushes.items():
            done = [one for one in pushes if one.fate is Fate.DONE and now - one.began < self.grace_s]
            if done and image.repository not in self.fleeting and self.is_recent(image, done[-1], now):
                found.append(image)
        return found

    def is_recent(self, image: Name, push: Operation, now: float | None = None) -> bool:
        """Whether an image must be there, tagged or not, because of this push."""
        now = time.monotonic() if now is None else now
        return now - push.began < self.grace_s and not self._may_be_deleted(image.repository, image.reference, push)

    def gone(self) -> list[Name]:
        """The images that must not be there: deleted, and not pushed or restored since."""
        found = []
        for image, deletes in self.deletes.items():
            done = [one.began for one in deletes if one.fate is Fate.DONE]
            back = [*self.pushes[image], *self.undeletes[image.repository]]
            if done and not any(one.fate is not Fate.REFUSED and one.latest > max(done) for one in back):
                found.append(image)
        return found

    def find_faults(self, repository: str, found: Mapping[str, str]) -> list[str]:
        """What is wrong with the tags that a repository shows, tag to digest."""
        faults = []
        for tag, digest in found.items():
            name = Name(repository, tag)
            if name not in self.tags:
                faults.append(f"{repository}:{tag} was never pushed")
            elif digest not in (allowed := self.allowed(name)):
                faults.append(f"{repository}:{tag} is {digest}, which is none of {_words(allowed)}")
        missing = [name for name in self.tags if name.repository == repository and name.reference not in found]
        must = [(name, allowed) for name in missing if None not in (allowed := self.allowed(name))]
        return faults + [f"{name} is not there; it was set to {_words(allowed)}" for name, allowed in must]

    def is_unsettled(self, tag: Name, digest: str) -> bool:
        """Whether a push of this image to this tag was never answered: it may have left a tag without its image."""
        self.allowed(tag)
        return any(one.digest == digest and one.fate is Fate.UNKNOWN for one in self.tags.get(tag, []))

    def _begin(self, kind: Kind, tag: Name | None, digest: str | None) -> Operation:
        operation = Operation(kind, digest, time.monotonic())
        if tag is not None:
            self.allowed(tag)  # forgets what doesn't count any more
            self.tags.setdefault(tag, [Operation(Kind.DELETE_TAG, None, -1.0, -1.0, Fate.DONE)]).append(operation)
        return operation


@contextmanager
def _ending(operation: Operation) -> Iterator[None]:
    try:
        yield
    finally:
        now = time.monotonic()
        operation.latest = now if operation.fate is not Fate.UNKNOWN else now + LANDS_WITHIN_S


def _is_superseded(one: Operation, by: Iterable[Operation]) -> bool:
    """Whether nothing of what an operation did is left."""
    if one.fate is Fate.REFUSED:
        return True
    later = [other for other in by if other.fate is Fate.DONE and other.began > one.latest]
    if any(other.kind is not Kind.UNDELETE for other in later):
        return True
    return one.kind is Kind.DELETE_TAG and bool(later)


def _words(allowed: Iterable[str | None]) -> str:
    return ", ".join(sorted(str(digest) for digest in allowed))
