"""The edge against nginx, both in front of the same docker-registry, and against that registry alone.

Besides the rate, it reports the cost of the front door itself: the CPU time of its processes per request or per MiB,
the steadier figure on a shared machine. The registry alone terminates TLS itself, on the same storage.
"""

import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.footprint import PROC, process_tree
from benchmarks.ours import start_ours
from benchmarks.peer import missing_programs, start_nginx, start_registry, start_tls_registry
from benchmarks.process import Server
from benchmarks.tables import figure
from benchmarks.target import Target
from benchmarks.works import Content, Effort, Turn, Work, prepare

_TICKS_S = os.sysconf("SC_CLK_TCK")

# proc(5), stat: utime and stime, counted after the command's name, which may contain spaces and parentheses.
_UTIME, _STIME = 11, 12

_STREAMS = {"push": 1, "pull-1": 1, "pull-8": 8}
WORKS = ("push", "pull-1", "pull-8", "manifest-tag", "manifest-digest", "blob-small", "tags", "base")

COLUMNS = ("work", "unit", "us", "nginx", "alone", "us / nginx", "us / alone", "our CPU ms", "nginx's CPU ms")


@dataclass(frozen=True, slots=True)
class Front:
    """What clients talk to. `doors` are the servers in front of the registry; empty for the registry alone."""

    name: str
    target: Target
    doors: tuple[Server, ...]


@dataclass(slots=True)
class Taken:
    """The results of one front in one work: for each round a rate, and the CPU milliseconds of its doors per unit."""

    rates: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


@dataclass(slots=True)
class EdgeRow:
    """The results of one work at every front, by the front's name."""

    work: Work
    taken: dict[str, Taken]

    def ratio(self, one: str, other: str) -> float:
        """The median over the rounds of one front's rate divided by another's."""
        rounds = zip(self.taken[one].rates, self.taken[other].rates, strict=True)
        return statistics.median(ours / theirs for ours, theirs in rounds)


def measure_edge(folder: Path, works: Sequence[Work], content: Content, effort: Effort) -> list[EdgeRow]:
    """All works at all fronts, alternately; a first round is not counted. Raises BenchmarkError if nginx is missing."""
    if missing := missing_programs():
        raise BenchmarkError(f"the edge has no registry to run in front of: {' and '.join(missing)} not installed")
    with _fronts(folder) as fronts:
        prepare(fronts[0].target, content)
        rows = [EdgeRow(work, {front.name: Taken() for front in fronts}) for work in works if work.name in WORKS]
        for number in range(effort.rounds + 1):
            for row in rows:
                for step in range(len(fronts)):
                    front = fronts[(number + step) % len(fronts)]
                    # Each front needs a blob of its own in each round, or the registry would have it already.
                    turn = Turn(front.target, content, effort, number * len(fronts) + step)
                    _measure(row, front, turn, counts=number > 0)
            print("warmed up" if number == 0 else f"round {number} of {effort.rounds}", flush=True)
        return rows


def cells(row: EdgeRow) -> list[str]:
    """A row of the table: medians."""
    us, nginx, alone = (row.taken[name] for name in ("us", "nginx", "alone"))
    return [
        row.work.title,
        row.work.unit,
        *(figure(statistics.median(taken.rates)) for taken in (us, nginx, alone)),
        f"{row.ratio('us', 'nginx'):.2f}",
        f"{row.ratio('us', 'alone'):.2f}",
        *(f"{statistics.median(taken.cpu_ms):.2f}" for taken in (us, nginx)),
    ]


def as_entry(row: EdgeRow) -> dict[str, Any]:
    """The same with every round, for JSON."""
    taken: Mapping[str, Any] = {
        name: {"rates": taken.rates, "cpu_ms_a_unit": taken.cpu_ms} for name, taken in row.taken.items()
    }
    return {"work": row.work.name, "unit": row.work.unit, "over_nginx": row.ratio("us", "nginx"), **taken}


def cpu_s(stats: Sequence[str]) -> float:
    """The CPU seconds, user and system, in these texts of /proc/PID/stat."""
    total = 0
    for text in stats:
        fields = text.rpartition(")")[2].split()
        total += int(fields[_UTIME]) + int(fields[_STIME])
    return total / _TICKS_S


def _measure(row: EdgeRow, front: Front, turn: Turn, *, counts: bool) -> None:
    before = cpu_s(_stats(front.doors))
    rate = row.work.measure(turn)
    spent_s = cpu_s(_stats(front.doors)) - before
    if counts:
        row.taken[front.name].rates.append(rate)
        row.taken[front.name].cpu_ms.append(1000 * spent_s / _amount(row.work, rate, turn))


def _amount(work: Work, rate: float, turn: Turn) -> float:
    """How many units of a work were done: MiB, or requests."""
    streams = _STREAMS.get(work.name)
    return streams * turn.effort.big_mib if streams else rate * turn.effort.wrk_s


def _stats(servers: Sequence[Server]) -> list[str]:
    return [(PROC / str(pid) / "stat").read_text("utf-8") for server in servers for pid in process_tree(server.pid)]


@contextmanager
def _fronts(folder: Path) -> Iterator[list[Front]]:
    with ExitStack() as stack:
        registry, port = stack.enter_context(start_registry(folder / "registry"))
        # As many processes as nginx has in Debian's configuration: one for each core.
        cores = os.cpu_count() or 1
        ours = stack.enter_context(start_ours(folder / "ours", upstream=f"http://127.0.0.1:{port}", workers=cores))
        nginx = stack.enter_context(start_nginx(folder / "nginx", registry, port))
        alone = stack.enter_context(start_tls_registry(folder / "alone", storage=folder / "registry" / "registry"))
        yield [
            Front("us", ours, ours.servers),
            Front("nginx", nginx, nginx.servers[:1]),
            Front("alone", alone, ()),
        ]
