"""What a marking keeps besides what tags reach."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from authproxy.digest import Digest
from authproxy.maintenance.gc.records import RUN
from authproxy.reference import Repository


class Untagged(Enum):
    """Manifests that no tag leads to."""

    KEEP = "keep"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class MarkingOptions:
    """The rules of one marking."""

    untagged: Untagged = Untagged.KEEP
    empty_is_absent: bool = False
    """An empty link is a deleted one: in storages without conditional deletes. Elsewhere it is damage."""
    is_new: Callable[[Repository, Digest], bool] = lambda _repository, _digest: False
    """Whether a revision is new since the last list of condemned content: then it is kept without a tag."""
    is_revived: Callable[[bytes], bool] = lambda _mark: False
    """Whether what has this mark was promised since it was condemned: then it is kept."""
    run: int = RUN
    """Records that are sorted in memory at once: smaller in tests."""
