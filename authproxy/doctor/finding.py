"""The result of one check, and the verdict over many: `ok`, `warning`, `failed` or `unknown`, in every doctor."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """The result of a single check, and the verdict over several, which is never WARNING."""

    OK = "ok"
    WARNING = "warning"  # it works now, and there is something to know
    FAILED = "failed"
    UNKNOWN = "unknown"  # the check could not be made


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `fix` names the file, key and value to change, if there is something to fix."""

    level: Level
    check: str
    what: str
    fix: str = ""


def conclude(findings: Iterable[Finding]) -> Level:
    """The verdict over several checks: FAILED if one failed, else UNKNOWN if one could not be made, else OK."""
    levels = {finding.level for finding in findings}
    if Level.FAILED in levels:
        return Level.FAILED
    return Level.UNKNOWN if Level.UNKNOWN in levels else Level.OK
