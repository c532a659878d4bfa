"""Cases of retention in policy files: the images of a repository, and which of them are removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from authproxy.digest import Digest
from authproxy.policy.model import PolicySet
from authproxy.policy.retention import Image, Outcome, RetentionRule, decide_retention
from authproxy.policy.retention_protection import find_protection
from authproxy.policy.running_images import RunningImages
from authproxy.reference import Tag

# Ages in a case count from here.
_NOW = datetime(2100, 1, 1, tzinfo=UTC)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CaseImage:
    """One image of a case. Images with the same `manifest` share it."""

    name: str
    manifest: str
    is_tag: bool
    pushed: timedelta | None  # ago
    pulled: timedelta | None


@dataclass(frozen=True, slots=True)
class RetentionCase:
    """The images of a repository, and the names of those that the entries of all files together must remove."""

    repository: str
    images: tuple[CaseImage, ...]
    running: RunningImages
    records_began: timedelta | None  # ago; None: before all images
    removed: frozenset[str]
    why: str
    file: str
    line: int  # where the case begins, from 1

    @property
    def place(self) -> str:
        """`policies/team.yaml:30`."""
        return f"{self.file}:{self.line}"

    @property
    def expected(self) -> str:
        """`removes pr-7`."""
        return f"removes {', '.join(sorted(self.removed)) or 'nothing'}"

    def __str__(self) -> str:
        return f"retention of {self.repository}"


def find_retention_faults(case: RetentionCase, rules: Sequence[RetentionRule], policies: PolicySet) -> list[str]:
    """A sentence for each image with another outcome than the case expects."""
    decided = decide_retention(
        case.repository,
        [_to_image(image) for image in case.images],
        rules,
        now=_NOW,
        records_began=_LONG_AGO if case.records_began is None else _NOW - case.records_began,
        running={file: case.running for rule in rules for file in rule.files},
        protection=find_protection(policies, case.repository, now=None),
    )
    return [
        f"{image.name}: expected to be {'removed' if image.name in case.removed else 'kept'}, but it is {one.reason}"
        for image, one in zip(case.images, decided, strict=True)
        if (one.outcome is not Outcome.KEPT) is not (image.name in case.removed)
    ]


def _to_image(image: CaseImage) -> Image:
    tag = Tag(image.name) if image.is_tag else None
    return Image(Digest.of(image.manifest.encode()), tag, _before(image.pushed), _before(image.pulled))


def _before(age: timedelta | None) -> datetime | None:
    return None if age is None else _NOW - age
