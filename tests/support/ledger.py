"""What the clients of a storm were promised, and so what they may find afterwards. No I/O.

A request that broke off may have been done or not; until the next answer both are right.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum


class Fate(Enum):
    """What is known of an image."""

    UNCERTAIN = "uncertain"  # its push, or its delete, was never answered
    KEPT = "kept"  # its push was answered, and nobody was told to delete it
    GONE = "gone"  # its delete was answered


@dataclass(frozen=True, slots=True)
class Name:
    """A tag or a digest in a repository."""

    repository: str
    reference: str

    def __str__(self) -> str:
        return f"{self.repository}{'@' if ':' in self.reference else ':'}{self.reference}"


@dataclass
class Ledger:
    """Every image by digest, and for every tag what it may point at. None: the tag is not there."""

    images: dict[Name, Fate] = field(default_factory=dict)
    tags: dict[Name, set[str | None]] = field(default_factory=dict)

    def push_begins(self, tag: Name, digest: str) -> None:
        """Somebody pushes an image, whose digest no other push has, and sets a tag that nobody else sets."""
        self.images[Name(tag.repository, digest)] = Fate.UNCERTAIN
        self.tags.setdefault(tag, {None}).add(digest)

    def push_is_answered(self, tag: Name, digest: str) -> None:
        """It is there, and the tag points at it."""
        self.images[Name(tag.repository, digest)] = Fate.KEPT
        self.tags[tag] = {digest}

    def delete_begins(self, image: Name) -> None:
        """Somebody deletes an image, and the tags that point at it go too."""
        self.images[image] = Fate.UNCERTAIN
        for values in self._pointing_at(image):
            values.add(None)

    def delete_is_answered(self, image: Name) -> None:
        """No tag points at it any more. One that was set to another image meanwhile stays."""
        self.images[image] = Fate.GONE
        for values in self._pointing_at(image):
            values.discard(image.reference)
            values.add(None)

    def tag_delete_begins(self, tag: Name) -> None:
        """Somebody deletes a tag alone."""
        self.tags[tag].add(None)

    def tag_delete_is_answered(self, tag: Name) -> None:
        """The tag is not there; its image is."""
        self.tags[tag] = {None}

    def kept(self) -> list[Name]:
        """The images that have to be there."""
        return [name for name, fate in self.images.items() if fate is Fate.KEPT]

    def gone(self) -> list[Name]:
        """The images that must not be there."""
        return [name for name, fate in self.images.items() if fate is Fate.GONE]

    def is_kept(self, image: Name) -> bool:
        """Whether it has to be there now."""
        return self.images.get(image) is Fate.KEPT

    def find_faults(self, repository: str, found: Mapping[str, str]) -> list[str]:
        """What is wrong with the tags that a repository shows, tag to digest."""
        faults = []
        for tag, digest in found.items():
            allowed = self.tags.get(Name(repository, tag))
            if allowed is None:
                faults.append(f"{repository}:{tag} was never pushed")
            elif digest not in allowed:
                faults.append(f"{repository}:{tag} is {digest}, which is none of {_words(allowed)}")
        for name, allowed in self.tags.items():
            if name.repository == repository and None not in allowed and name.reference not in found:
                faults.append(f"{name} is not there; it was set to {_words(allowed)}")
        return faults

    def _pointing_at(self, image: Name) -> list[set[str | None]]:
        return [
            values
            for tag, values in self.tags.items()
            if tag.repository == image.repository and image.reference in values
        ]


def _words(allowed: Iterable[str | None]) -> str:
    return ", ".join(sorted(str(digest) for digest in allowed))
