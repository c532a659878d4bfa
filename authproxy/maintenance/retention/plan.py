"""What removing images removes: which manifests nothing else needs, in which order, and how many bytes that frees."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from authproxy.digest import Digest
from authproxy.maintenance.retention.contents import RepositoryContents
from authproxy.policy.retention import Image, Outcome, Retained


class PlannedImage(NamedTuple):
    """The decision about an image, and the bytes that go with it: in this repository nothing else needs them."""

    retained: Retained
    frees: int


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """The decisions about a repository."""

    contents: RepositoryContents
    images: tuple[PlannedImage, ...]

    def with_outcome(self, outcome: Outcome) -> list[PlannedImage]:
        """The images of one outcome, in order."""
        return [one for one in self.images if one.retained.outcome is outcome]

    @property
    def frees(self) -> int:
        """The bytes that go if everything is removed that is to be removed."""
        return sum(one.frees for one in self.with_outcome(Outcome.REMOVED))


def make_plan(contents: RepositoryContents, decided: Iterable[Retained]) -> RetentionPlan:
    """Count what each image frees; what several share, the first of them frees. Those that only would go count too."""
    decided = list(decided)
    going = find_removable(contents, [one.image for one in decided if one.outcome is not Outcome.KEPT])
    is_counted = bytearray(len(contents.blob_sizes))
    for digest, held in contents.manifests.items():
        if digest not in going:
            for place in held.blobs:
                is_counted[place] = 1
    counted: set[Digest] = set()
    planned: list[PlannedImage] = []
    for one in decided:
        frees = 0
        if one.outcome is not Outcome.KEPT:
            for digest in contents.below([one.image.digest]):
                if digest not in going or digest in counted:
                    continue
                counted.add(digest)
                held = contents.manifests[digest]
                frees += held.size
                for place in held.blobs:
                    if not is_counted[place]:
                        is_counted[place] = 1
                        frees += contents.blob_sizes[place]
        planned.append(PlannedImage(one, frees))
    return RetentionPlan(contents, tuple(planned))


def find_removable(contents: RepositoryContents, images: Collection[Image]) -> set[Digest]:
    """The manifests that nothing needs once these images are gone.

    None where a manifest of the repository could not be read: it may name any other.
    """
    if contents.unread:
        return set()
    gone = {(image.digest, image.tag) for image in images}
    below = contents.below(image.digest for image in images)
    needed = [image.digest for image in contents.images if (image.digest, image.tag) not in gone]
    needed += [digest for digest in contents.manifests if digest not in below]
    # What belongs to a manifest that stays is the collector's.
    needed += [
        digest
        for digest in below
        if (subject := contents.manifests[digest].subject) in contents.manifests and subject not in below
    ]
    return below - contents.below(needed)


def in_order(contents: RepositoryContents, digests: Collection[Digest]) -> list[Digest]:
    """These manifests, each after those that name it: what is named can't be deleted."""
    namers = Counter(child for digest in digests for child in set(contents.manifests[digest].children))
    ready = [digest for digest in digests if not namers[digest]]
    ordered: list[Digest] = []
    while ready:
        digest = ready.pop()
        ordered.append(digest)
        for child in set(contents.manifests[digest].children):
            namers[child] -= 1
            if child in digests and not namers[child]:
                ready.append(child)
    return ordered
