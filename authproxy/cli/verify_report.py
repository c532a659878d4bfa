"""What `authproxy verify` prints: the findings, who is hit, and what to do."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from authproxy.cli.output import counted, in_words
from authproxy.cli.registry_run import printable

if TYPE_CHECKING:
    from authproxy.maintenance.verify.findings import Finding
    from authproxy.maintenance.verify.position import Position
    from authproxy.maintenance.verify.verification import Verified

# Exit codes.
DAMAGED, UNKNOWN = 1, 2

# Findings of one kind that are shown; all that were kept are in the JSON.
MAX_SHOWN = 50
# Images that are named in one line.
MAX_NAMED = 5
# How the fix of damaged content begins.
PUSH_AGAIN = "push it again"


@dataclass(slots=True)
class Repaired:
    """What came of --repair: why some findings stay, by what identifies each, and whether to look again."""

    failures: dict[str, str] = field(default_factory=dict)
    has_more: bool = False
    done: int = 0

    def note(self, finding: "Finding", why: str | None) -> None:
        """Note that a finding was repaired, or why not."""
        if why is None:
            self.failures.pop(_key(finding), None)
            self.done += 1
        else:
            self.failures[_key(finding)] = why


class TextReport:
    """The report for people."""

    def __init__(self, verified: "Verified", repaired: Repaired, words: str, *, is_sample: bool) -> None:
        self._verified = verified
        self._position = verified.position
        self._repaired = repaired
        self._words = words
        self._is_sample = is_sample

    def show(self) -> None:
        """Print it: what is damaged last but for the summary, since that is read first."""
        from authproxy.maintenance.verify.findings import Kind, Severity

        for severity in (Severity.WARNING, Severity.UNKNOWN, Severity.DAMAGED):
            for kind in Kind:
                found = [one for one in self._position.findings if one.kind is kind and one.severity is severity]
                for finding in found[:MAX_SHOWN]:
                    self._show(finding)
                if (more := self._position.counts[kind] - min(len(found), MAX_SHOWN)) > 0 and found:
                    typer.echo(f"{severity}: {more} more of {kind}: see --json")
        for line in self._summary():
            typer.echo(line)

    def _show(self, finding: "Finding") -> None:
        state = "repaired" if finding.is_repaired else str(finding.severity)
        typer.echo(f"{state}: {_one_line(finding.message)}")
        typer.echo(f"  in {_one_line(finding.where)}")
        if finding.hit_count:
            more = finding.hit_count - min(len(finding.hit), MAX_NAMED)
            also = f" and {more} more" if more else ""
            typer.echo(f"  hits {', '.join(map(_one_line, finding.hit[:MAX_NAMED]))}{also}")
        if (why := self._repaired.failures.get(_key(finding))) is not None:
            typer.echo(f"  not repaired: {_one_line(why)}")
        if fix := finding.fix(self._words):
            typer.echo(f"  fix: {fix}")

    def _summary(self) -> Iterable[str]:
        from authproxy.maintenance.verify.findings import Severity

        position = self._position
        repaired = sum(finding.is_repaired for finding in position.findings)
        counts = [
            f"{position.count(severity) - _repaired(self._verified, severity)} {severity}"
            for severity in (Severity.DAMAGED, Severity.UNKNOWN)
        ]
        counts.append(counted(position.count(Severity.WARNING), "warning"))
        if repaired:
            counts.append(f"{repaired} repaired")
        if self._is_sample:
            yield f"a sample of {position.sample}; the same again: --sample {position.sample} --seed {position.seed}"
        looked = counted(position.blobs, "blob")
        repositories = f" and {counted(position.repositories, 'repository', 'repositories')}"
        yield (
            f"read {looked} ({in_words(position.read_bytes)}){'' if self._is_sample else repositories}:"
            f" {', '.join(counts)}"
        )
        back = {finding.digest for finding in position.findings if finding.is_repaired}
        if isolated := [digest for digest in self._verified.isolated if digest not in back]:
            are = "is" if len(isolated) == 1 else "are"
            yield f"{counted(len(isolated), 'blob')} {are} in quarantine: the next push repairs each"
        yield self._to_do()

    def _to_do(self) -> str:
        from authproxy.maintenance.verify.findings import Severity

        open_ones = [finding for finding in self._position.findings if not finding.is_repaired]
        damaged = [finding for finding in open_ones if finding.severity is Severity.DAMAGED]
        images = list(dict.fromkeys(image for finding in damaged for image in finding.hit))
        for finding in (*damaged, *(one for one in open_ones if one.severity is Severity.UNKNOWN)):
            fix = finding.fix(self._words)
            if images and fix.startswith(PUSH_AGAIN):
                more = f" and {len(images) - MAX_NAMED} more" if len(images) > MAX_NAMED else ""
                fix = f"push {', '.join(map(_one_line, images[:MAX_NAMED]))}{more}{fix.removeprefix(PUSH_AGAIN)}"
            return f"to do: {fix}"
        if self._repaired.has_more:
            return f"to do: {self._words}, again: manifests came back, and what they need was not looked at"
        return "nothing to do"


def _repaired(verified: "Verified", severity: str) -> int:
    return sum(finding.is_repaired and finding.severity == severity for finding in verified.position.findings)


def exit_code(verified: "Verified") -> int:
    """What is damaged still, or is not known."""
    from authproxy.maintenance.verify.findings import Severity

    position = verified.position
    if position.count(Severity.DAMAGED) > _repaired(verified, Severity.DAMAGED):
        return DAMAGED
    return UNKNOWN if position.count(Severity.UNKNOWN) else 0


def to_json(root: Path, verified: "Verified", failures: dict[str, str], words: str) -> dict[str, Any]:
    """The report for programs. `words`: the command, as it can be typed again."""
    from authproxy.maintenance.verify.findings import Severity

    position = verified.position
    return {
        "storage": str(root),
        "sample": position.sample or None,
        "seed": position.seed or None,
        "blobs": position.blobs,
        "read_bytes": position.read_bytes,
        "repositories": position.repositories,
        **{f"{severity}": position.count(severity) for severity in Severity},
        "repaired": sum(finding.is_repaired for finding in position.findings),
        "quarantined": [str(digest) for digest in verified.isolated],
        "findings": [
            {
                **finding.to_json(),
                "severity": finding.severity,
                "fix": finding.fix(words),
                "repaired": finding.is_repaired,
                "not_repaired_because": failures.get(_key(finding)),
            }
            for finding in position.findings
        ],
    }


def _key(finding: "Finding") -> str:
    return f"{finding.kind} {finding.where} {finding.message}"


def _one_line(text: str) -> str:
    return printable(text).replace("\n", "\\n")


def progress_words(position: "Position") -> str:
    """How far a run is."""
    from authproxy.maintenance.verify.findings import Severity
    from authproxy.maintenance.verify.position import Stage

    damaged = f", {position.count(Severity.DAMAGED)} damaged" if position.count(Severity.DAMAGED) else ""
    if position.stage is Stage.BLOBS:
        # Digests are spread evenly, so their first digits say how far it is.
        share = int(position.content.hex[:4], 16) / 0x10000 if position.content is not None else 0
        return f"blobs: {share:.0%}, {position.blobs} read, {in_words(position.read_bytes)}{damaged}"
    return f"repositories: {position.repositories}, at {printable(position.repository)[:60]}{damaged}"
