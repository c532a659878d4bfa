"""One table for people, one JSON file for programs, from the same figures."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import edge, flood, marking, weight
from benchmarks import images as moved
from benchmarks.big_blob import LIMIT_MIB, Passage
from benchmarks.compare import Figures, Row
from benchmarks.long_push import LongPush
from benchmarks.scale import Scale
from benchmarks.tables import NOTHING, figure, pairs, table
from benchmarks.works import Effort


@dataclass(slots=True)
class Report:
    """The results of one run. Benchmarks that did not run are empty."""

    when: str  # ISO 8601, UTC
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    effort: Effort
    limits: Mapping[str, float] = field(default_factory=dict)
    rows: Sequence[Row] = ()
    fronts: Sequence[edge.EdgeRow] = ()
    two_workers: Sequence[Row] = ()  # without a peer
    passages: Sequence[Passage] = ()
    scale: Scale | None = None
    long_pushes: Sequence[LongPush] = ()
    floods: flood.Floods | None = None
    images: Sequence[moved.Comparison] = ()
    weights: Sequence[weight.Weight] = ()
    markings: Sequence[marking.MarkingCost] = ()

    def is_within_limits(self) -> bool:
        """Whether each big blob stayed within the memory limit, and pulls kept their share in a flood."""
        grown = self.scale.blobs if self.scale else ()
        return (
            (self.floods is None or self.floods.is_within_limits())
            and all(comparison.is_within_limits() for comparison in self.images)
            and all(cost.is_within_limits() for cost in self.markings)
            and all(passage.over_idle_mib < LIMIT_MIB for passage in (*self.passages, *grown))
        )

    def share_of_limit(self, row: Row) -> float | None:
        """Our figure divided by the limit of the machine; None if that was not measured."""
        limit = self.limits.get(row.work.limit)
        return row.ours.median / limit if limit else None


def as_text(report: Report) -> str:
    """The tables that a run prints."""
    parts = [pairs({"when": report.when, **report.machine, **report.versions})]
    if report.limits:
        parts.append(pairs({name: figure(value) for name, value in report.limits.items()}))
    if report.rows:
        parts.append(table(_COLUMNS, [_cells(report, row) for row in report.rows]))
        parts.append(
            f"medians of {report.effort.rounds} rounds; ratio: us over the peer, median (least to most) of the rounds;"
            " share: our median as a part of the limit"
        )
    if report.fronts:
        parts.append(table(edge.COLUMNS, list(map(edge.cells, report.fronts))))
        parts.append(
            "in front of one docker-registry: medians; CPU: of the front door alone, for a request or a MiB; alone: the"
            " registry with TLS of its own"
        )
    if report.two_workers:
        one = {row.work.name: row.ours.median for row in report.rows}
        parts.append(table(_WORKERS_COLUMNS, [_worker_cells(row, one) for row in report.two_workers]))
    if report.passages:
        parts.append(table(_PASSAGE_COLUMNS, [_passage_cells(passage) for passage in report.passages]))
    if report.scale:
        parts += _scale_tables(report.scale)
    if report.long_pushes:
        parts.append(table(_LONG_PUSH_COLUMNS, [_long_push_cells(push) for push in report.long_pushes]))
    if report.floods:
        parts.append(table(flood.COLUMNS, list(map(flood.cells, report.floods.standings))))
        parts.append(pairs(flood.seen(report.floods)))
    parts += _program_tables(report)
    return "\n\n".join(parts)


def as_json(report: Report) -> str:
    """The same figures with every round, for JSON."""
    return json.dumps(
        {
            "when": report.when,
            "machine": dict(report.machine),
            "versions": dict(report.versions),
            "effort": asdict(report.effort),
            "limits": dict(report.limits),
            "works": [_entry(report, row) for row in report.rows],
            "edge": list(map(edge.as_entry, report.fronts)),
            "two_workers": [
                {"work": row.work.name, "unit": row.work.unit, "ours": _figures(row.ours)} for row in report.two_workers
            ],
            "big_blob": [_passage_entry(passage) for passage in report.passages],
            "scale": _scale_entry(report.scale),
            "flood": flood.as_entry(report.floods) if report.floods else None,
            "images": list(map(moved.as_entry, report.images)),
            "weights": list(map(weight.as_entry, report.weights)),
            "markings": list(map(asdict, report.markings)),
            "long_pushes": [asdict(push) for push in report.long_pushes],
        },
        indent=2,
        ensure_ascii=False,
    )


def write_json(report: Report, folder: Path) -> Path:
    """Write the JSON to a file whose name sorts by time. Returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.when.replace(':', '').replace('+0000', 'Z')}.json"
    path.write_text(as_json(report) + "\n", "utf-8")
    return path


def _entry(report: Report, row: Row) -> dict[str, Any]:
    ratios = sorted(row.ratios())
    return {
        "work": row.work.name,
        "unit": row.work.unit,
        "ours": _figures(row.ours),
        "peer": None if row.peer is None else _figures(row.peer),
        "ratio": {"median": statistics.median(ratios), "least": ratios[0], "most": ratios[-1]} if ratios else None,
        "limit": row.work.limit,
        "share_of_limit": report.share_of_limit(row),
    }


def _figures(figures: Figures) -> dict[str, Any]:
    return asdict(figures) | {"median": figures.median}


def _passage_entry(passage: Passage) -> dict[str, Any]:
    return asdict(passage) | {"over_idle_mib": passage.over_idle_mib}


def _scale_entry(scale: Scale | None) -> dict[str, Any] | None:
    return None if scale is None else asdict(scale) | {"blobs": [_passage_entry(passage) for passage in scale.blobs]}


_COLUMNS = ("work", "unit", "us", "peer", "ratio", "spread", "our peak MiB", "peer's", "share", "limit")
_WORKERS_COLUMNS = ("work", "unit", "one worker", "two workers", "gain", "peak MiB")
_PASSAGE_COLUMNS = ("big blob through", "push MiB/s", "pull MiB/s", "idle MiB", "peak MiB", "over idle", "limit")
_TAGS_COLUMNS = ("tags in a repository", "page of 100, 1/s", "manifest by tag, 1/s", "tag push, 1/s", "peak MiB")
_BLOBS_COLUMNS = ("blob", "push MiB/s", "pull MiB/s", "idle MiB", "push peak MiB", "pull peak MiB")
_LONG_PUSH_COLUMNS = ("slow push through", "took, s", "its token lives, s")


def _cells(report: Report, row: Row) -> list[str]:
    ratios, share = sorted(row.ratios()), report.share_of_limit(row)
    return [
        row.work.title,
        row.work.unit,
        figure(row.ours.median),
        NOTHING if row.peer is None else figure(row.peer.median),
        f"{statistics.median(ratios):.2f}" if ratios else NOTHING,
        f"{ratios[0]:.2f} to {ratios[-1]:.2f}" if ratios else NOTHING,
        f"{row.ours.peak_mib:.0f}",
        NOTHING if row.peer is None else f"{row.peer.peak_mib:.0f}",
        NOTHING if share is None else f"{share:.0%}",
        row.work.limit.partition(" (")[0],
    ]


def _worker_cells(row: Row, one: Mapping[str, float]) -> list[str]:
    before, after = one.get(row.work.name), row.ours.median
    return [
        row.work.title,
        row.work.unit,
        NOTHING if before is None else figure(before),
        figure(after),
        NOTHING if before is None else f"{after / before:.2f}",
        f"{row.ours.peak_mib:.0f}",
    ]


def _passage_cells(passage: Passage) -> list[str]:
    peak = max(passage.push_peak_mib, passage.pull_peak_mib)
    figures = (passage.push_mib_s, passage.pull_mib_s, passage.idle_mib, peak, passage.over_idle_mib)
    return [f"{passage.through}, {passage.size_mib} MiB", *(f"{value:.0f}" for value in figures), f"< {LIMIT_MIB}"]


def _long_push_cells(push: LongPush) -> list[str]:
    return [f"{push.through}, {push.size_mib} MiB", figure(push.seconds), str(push.token_life_s)]


def _program_tables(report: Report) -> list[str]:
    tables = []
    if report.images:
        tables.append(table(moved.COLUMNS, [row for each in report.images for row in moved.cells(each)]))
    if report.weights:
        columns = (*weight.COLUMNS, *(side.name for side in report.weights))
        tables.append(table(columns, weight.rows(report.weights)))
    if report.markings:
        tables.append(table(marking.COLUMNS, marking.rows(report.markings)))
    return tables


def _scale_tables(scale: Scale) -> list[str]:
    steps = [
        [f"{step.tags:,}", figure(step.page_s), figure(step.manifest_s), figure(step.push_s), f"{step.peak_mib:.0f}"]
        for step in scale.tags
    ]
    blobs = [
        [
            f"{blob.size_mib:,} MiB",
            *map(figure, (blob.push_mib_s, blob.pull_mib_s)),
            *(f"{peak:.0f}" for peak in (blob.idle_mib, blob.push_peak_mib, blob.pull_peak_mib)),
        ]
        for blob in scale.blobs
    ]
    catalog = scale.catalog
    seen = {
        "start, nothing stored (s)": scale.start_empty_s,
        f"start, {catalog.repositories:,} repositories and the tags above (s)": scale.start_full_s,
        "first catalog page, first answer after the start (ms)": catalog.first_ms,
        "first catalog page, median (ms)": catalog.p50_ms,
        "first catalog page, 99 of 100 (ms)": catalog.p99_ms,
    }
    return [
        table(_TAGS_COLUMNS, steps),
        table(_BLOBS_COLUMNS, blobs),
        pairs({name: figure(value) for name, value in seen.items()}),
    ]
