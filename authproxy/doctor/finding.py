"""What was looked at, what came out, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"  # it holds now, or does not keep tokens from being taken
    WRONG = "wrong"
    UNSAID = "unsaid"  # it could not be looked at


class Verdict(Enum):
    """Whether a registry would take our tokens."""

    TAKEN = "taken"
    REFUSED = "refused"
    UNSAID = "unsaid"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. `fix` says which file, key and value, where there is something to mend."""

    level: Level
    check: str
    what: str
    fix: str = ""


def conclude(findings: Iterable[Finding]) -> Verdict:
    """One thing that is wrong is enough; what could not be looked at leaves the rest open."""
    levels = {finding.level for finding in findings}
    if Level.WRONG in levels:
        return Verdict.REFUSED
    return Verdict.UNSAID if Level.UNSAID in levels else Verdict.TAKEN
