"""Rounds: every work once on each target, in an order that changes from round to round."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.content import MIB
from benchmarks.footprint import forget_peak, peak_bytes
from benchmarks.target import Target
from benchmarks.works import Content, Effort, Turn, Work


@dataclass(slots=True)
class Figures:
    """The results of one target in one work: a rate for each round, and the peak memory over all rounds in MiB."""

    rates: list[float] = field(default_factory=list)
    peak_mib: float = 0.0

    @property
    def median(self) -> float:
        """The median rate."""
        return statistics.median(self.rates)


@dataclass(slots=True)
class Row:
    """One work, done by us and, if it is installed and able to, by the peer."""

    work: Work
    ours: Figures = field(default_factory=Figures)
    peer: Figures | None = None

    def ratios(self) -> list[float]:
        """Our rate divided by the peer's, for each round: a disturbance hits both. Empty without a peer."""
        if self.peer is None:
            return []
        return [ours / peer for ours, peer in zip(self.ours.rates, self.peer.rates, strict=True)]


def measure(works: Sequence[Work], ours: Target, peer: Target | None, content: Content, effort: Effort) -> list[Row]:
    """Do all works once a round. A first round warms up both sides and is not counted."""
    rows = [
        Row(work, peer=Figures() if peer is not None and (peer.user is not None or not work.issues_tokens) else None)
        for work in works
    ]
    for number in range(effort.rounds + 1):
        for row in rows:
            _take_turns(row, _order(row, ours, peer, number), content, effort, number)
        print("warmed up" if number == 0 else f"round {number} of {effort.rounds}", flush=True)
    return rows


def _order(row: Row, ours: Target, peer: Target | None, number: int) -> list[tuple[Target, Figures]]:
    turns = [(ours, row.ours)]
    if peer is not None and row.peer is not None:
        turns.append((peer, row.peer))
    return turns if number % 2 else turns[::-1]


def _take_turns(
    row: Row, turns: Sequence[tuple[Target, Figures]], content: Content, effort: Effort, number: int
) -> None:
    for target, figures in turns:
        forget_peak(target.pids)
        rate = row.work.measure(Turn(target, content, effort, number))
        if number > 0:
            figures.rates.append(rate)
            figures.peak_mib = max(figures.peak_mib, peak_bytes(target.pids) / MIB)
