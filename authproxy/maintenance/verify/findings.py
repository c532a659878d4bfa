"""What a verification finds: kinds, how bad each is, and what repairs it.

No finding quotes stored bytes: a symbolic link in the storage may lead to a file that is nobody's business.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from authproxy.digest import Digest, parse_digest
from authproxy.reference import is_repository

# Names of images that one finding lists.
MAX_HIT = 20


class Severity(StrEnum):
    """What a finding means for the content."""

    DAMAGED = "damaged"
    UNKNOWN = "unknown"
    WARNING = "warning"


class Kind(StrEnum):
    """What is wrong."""

    CONTENT_DAMAGED = "content damaged"
    CONTENT_MISSING = "content missing"
    LINK_MISSING = "link missing"
    LINK_DAMAGED = "link damaged"
    TAG_DANGLING = "tag without manifest"
    UNREADABLE = "unreadable"
    UNSTABLE = "unstable"
    MANIFEST_UNREADABLE = "manifest unreadable"
    SIZE_DIFFERS = "size differs"
    CHILD_MISSING = "entry of an index missing"
    LINK_WITHOUT_CONTENT = "link without content"
    REFERRER_DANGLING = "referrer without manifest"
    REFERRER_UNLISTED = "referrer not listed"
    UPLOAD_BROKEN = "upload without data"
    FOREIGN = "foreign file"


_SEVERITIES = {
    Kind.CONTENT_DAMAGED: Severity.DAMAGED,
    Kind.CONTENT_MISSING: Severity.DAMAGED,
    Kind.LINK_MISSING: Severity.DAMAGED,
    Kind.LINK_DAMAGED: Severity.DAMAGED,
    Kind.TAG_DANGLING: Severity.DAMAGED,
    Kind.UNREADABLE: Severity.UNKNOWN,
    Kind.UNSTABLE: Severity.UNKNOWN,
}

# What repairs a finding, as a clause; empty where nothing needs to be done. REPAIR and FROM are commands.
_FIXES = {
    Kind.CONTENT_DAMAGED: "push it again, or fetch it from a registry that has it: FROM",
    Kind.CONTENT_MISSING: "push it again, or fetch it from a registry that has it: FROM",
    Kind.LINK_MISSING: "REPAIR",
    Kind.LINK_DAMAGED: "push it again, or: REPAIR",
    Kind.TAG_DANGLING: "push the tag again, or delete it",
    Kind.UNREADABLE: "find out why the disk or the system refuses it, then verify again",
    Kind.UNSTABLE: "test the memory, the disk and the cables of this machine, then verify again",
    Kind.MANIFEST_UNREADABLE: "",
    Kind.SIZE_DIFFERS: "build and push the image again: its manifest is wrong",
    Kind.CHILD_MISSING: "",
    Kind.LINK_WITHOUT_CONTENT: "",
    Kind.REFERRER_DANGLING: "",
    Kind.REFERRER_UNLISTED: "REPAIR",
    Kind.UPLOAD_BROKEN: "",
    Kind.FOREIGN: "",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault, or something that could not be read.

    `where` is a path in the storage, safe to be printed. `hit` are images, at most MAX_HIT of `hit_count`.
    """

    kind: Kind
    where: str
    message: str
    digest: Digest | None = None
    repository: str | None = None
    hit: tuple[str, ...] = ()
    hit_count: int = 0
    is_repaired: bool = False

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return _SEVERITIES.get(self.kind, Severity.WARNING)

    def fix(self, command: str) -> str:
        """What to do, as a clause; empty for nothing. `command` is that of the verification."""
        if self.is_repaired:
            return ""
        return (
            _FIXES[self.kind]
            .replace("REPAIR", f"{command} --repair")
            .replace("FROM", f"{command} --repair --from REGISTRY")
        )

    def with_hit(self, hit: tuple[str, ...], count: int) -> Self:
        """The same finding, with who is hit."""
        return replace(self, hit=hit[:MAX_HIT], hit_count=count)

    def repaired(self) -> Self:
        """The same finding, repaired."""
        return replace(self, is_repaired=True)

    def to_json(self) -> dict[str, Any]:
        """For a file of progress."""
        return {
            "kind": self.kind,
            "where": self.where,
            "message": self.message,
            "digest": None if self.digest is None else str(self.digest),
            "repository": self.repository,
            "hit": list(self.hit),
            "hit_count": self.hit_count,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Read what `to_json` has written. Raises ValueError, KeyError, DigestInvalid."""
        digest, repository = fields["digest"], fields["repository"]
        if repository is not None and not is_repository(repository):
            raise ValueError(repository)
        return cls(
            Kind(fields["kind"]),
            shown(str(fields["where"])),
            shown(str(fields["message"])),
            None if digest is None else parse_digest(str(digest)),
            repository,
            tuple(shown(str(image)) for image in fields["hit"]),
            int(fields["hit_count"]),
        )


def shown(name: str) -> str:
    """A name from the storage, safe on a terminal and in JSON: control characters and broken encodings escaped."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in name)
