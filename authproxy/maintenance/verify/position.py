"""How far a verification is, so that an interrupted one goes on: small enough for a record, or a file."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from authproxy.digest import Digest, parse_digest
from authproxy.errors import DigestInvalid
from authproxy.maintenance.verify.findings import Finding, Kind, Severity, shown

# The most findings that are kept: more are only counted.
MAX_KEPT = 10_000

_FORM = 1


class Stage(StrEnum):
    """What is being read."""

    BLOBS = "blobs"
    REPOSITORIES = "repositories"
    DONE = "done"


class PositionInvalid(Exception):
    """Not what an earlier run has saved: one clause."""


@dataclass(slots=True)
class Position:
    """What has been read and found so far."""

    seed: str
    sample: str = ""
    stage: Stage = Stage.BLOBS
    content: Digest | None = None  # the last one of which all before it are done
    repository: str = ""  # the same
    blobs: int = 0
    read_bytes: int = 0
    repositories: int = 0
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[Kind] = field(default_factory=Counter)
    _known: set[tuple[Kind, str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Know the findings of an earlier run."""
        self._known.update(map(_key, self.findings))

    def add(self, finding: Finding) -> bool:
        """Add a finding. False: it is known from before the interruption."""
        if _key(finding) in self._known:
            return False
        self.counts[finding.kind] += 1
        if len(self.findings) < MAX_KEPT:
            self.findings.append(finding)
            self._known.add(_key(finding))
        return True

    def count(self, severity: Severity) -> int:
        """How many findings of this severity there are."""
        return sum(count for kind, count in self.counts.items() if Finding(kind, "", "").severity is severity)

    def to_json(self) -> dict[str, Any]:
        """For a record or a file."""
        return {
            "form": _FORM,
            "seed": self.seed,
            "sample": self.sample,
            "stage": self.stage,
            "content": None if self.content is None else str(self.content),
            "repository": self.repository,
            "blobs": self.blobs,
            "read_bytes": self.read_bytes,
            "repositories": self.repositories,
            "counts": dict(self.counts),
            "findings": [finding.to_json() for finding in self.findings],
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Read what `to_json` has written. Raises PositionInvalid."""
        try:
            if fields["form"] != _FORM:
                raise PositionInvalid("it is of another version of authproxy")
            content = fields["content"]
            return cls(
                shown(str(fields["seed"])),
                shown(str(fields["sample"])),
                Stage(fields["stage"]),
                None if content is None else parse_digest(str(content)),
                shown(str(fields["repository"])),
                int(fields["blobs"]),
                int(fields["read_bytes"]),
                int(fields["repositories"]),
                [Finding.from_json(finding) for finding in fields["findings"]],
                Counter({Kind(kind): int(count) for kind, count in fields["counts"].items()}),
            )
        except (KeyError, TypeError, ValueError, AttributeError, DigestInvalid):
            raise PositionInvalid("it is not what a verification has saved") from None


def _key(finding: Finding) -> tuple[Kind, str, str]:
    return finding.kind, finding.where, finding.message
