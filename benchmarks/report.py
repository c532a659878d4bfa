"""One table for people, one JSON file for programs, from the same figures."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.big_blob import LIMIT_MIB, Passage
from benchmarks.compare import Row
from benchmarks.works import Effort

NOTHING = "-"


@dataclass(slots=True)
class Report:
    """All that one run found out."""

    when: str  # ISO 8601, UTC
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    effort: Effort
    limits: Mapping[str, float] = field(default_factory=dict)
    rows: Sequence[Row] = ()
    passages: Sequence[Passage] = ()

    def is_within_limits(self) -> bool:
        """Whether no passage of the big blob took more memory than is allowed."""
        return all(passage.over_idle_mib < LIMIT_MIB for passage in self.passages)


def as_text(report: Report) -> str:
    """The tables that a run prints."""
    parts = [_pairs({"when": report.when, **report.machine, **report.versions})]
    if report.limits:
        parts.append(_pairs({name: _figure(value) for name, value in report.limits.items()}))
    if report.rows:
        parts.append(_table(_COLUMNS, [_cells(row) for row in report.rows]))
        parts.append(
            f"medians of {report.effort.rounds} rounds; ratio: us over the peer, median (least to most) of the rounds"
        )
    if report.passages:
        parts.append(_table(_PASSAGE_COLUMNS, [_passage_cells(passage) for passage in report.passages]))
    return "\n\n".join(parts)


def as_json(report: Report) -> str:
    """The same figures with every round."""
    rows: list[dict[str, Any]] = []
    for row in report.rows:
        ratios = sorted(row.ratios())
        rows.append(
            {
                "work": row.work.name,
                "unit": row.work.unit,
                "ours": asdict(row.ours) | {"median": row.ours.median},
                "peer": None if row.peer is None else asdict(row.peer) | {"median": row.peer.median},
                "ratio": None
                if not ratios
                else {"median": statistics.median(ratios), "least": ratios[0], "most": ratios[-1]},
            }
        )
    passages = [asdict(passage) | {"over_idle_mib": passage.over_idle_mib} for passage in report.passages]
    return json.dumps(
        {
            "when": report.when,
            "machine": dict(report.machine),
            "versions": dict(report.versions),
            "effort": asdict(report.effort),
            "limits": dict(report.limits),
            "works": rows,
            "big_blob": passages,
        },
        indent=2,
        ensure_ascii=False,
    )


def write_json(report: Report, folder: Path) -> Path:
    """Write the JSON under a name that sorts by time. Returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.when.replace(':', '').replace('+0000', 'Z')}.json"
    path.write_text(as_json(report) + "\n", "utf-8")
    return path


_COLUMNS = ("work", "unit", "us", "peer", "ratio", "spread", "our peak MiB", "peer's")
_PASSAGE_COLUMNS = ("big blob through", "push MiB/s", "pull MiB/s", "idle MiB", "peak MiB", "over idle", "limit")


def _cells(row: Row) -> list[str]:
    ratios = sorted(row.ratios())
    return [
        row.work.title,
        row.work.unit,
        _figure(row.ours.median),
        NOTHING if row.peer is None else _figure(row.peer.median),
        f"{statistics.median(ratios):.2f}" if ratios else NOTHING,
        f"{ratios[0]:.2f} to {ratios[-1]:.2f}" if ratios else NOTHING,
        f"{row.ours.peak_mib:.0f}",
        NOTHING if row.peer is None else f"{row.peer.peak_mib:.0f}",
    ]


def _passage_cells(passage: Passage) -> list[str]:
    peak = max(passage.push_peak_mib, passage.pull_peak_mib)
    figures = (passage.push_mib_s, passage.pull_mib_s, passage.idle_mib, peak, passage.over_idle_mib)
    return [f"{passage.through}, {passage.size_mib} MiB", *(f"{figure:.0f}" for figure in figures), f"< {LIMIT_MIB}"]


def _figure(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _pairs(pairs: Mapping[str, str]) -> str:
    width = max(map(len, pairs))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in pairs.items())


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first is text, the others are flush right."""
    widths = [max(len(line[index]) for line in [columns, *rows]) for index in range(len(columns))]
    lines = [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [columns, ["─" * width for width in widths], *rows]
    ]
    return "\n".join(lines)
