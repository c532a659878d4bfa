"""Is an audit log complete? Finds changed, removed, swapped and inserted lines, and a missing end.

The lines alone do not show that the newest are missing (which needs a head: the hash of a line that was once the last),
that the oldest are missing (rotation removes them), or that all of them were rewritten.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from authproxy.audit.chain import GENESIS, Line, LineInvalid, parse_line


class LinePlace(NamedTuple):
    """The position of a line: file, and number counted from 1."""

    file: str
    number: int

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"


@dataclass(frozen=True, slots=True)
class ChainFault:
    """One fault of a chain."""

    place: LinePlace | None  # None: it is about a missing line
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text


class Read(NamedTuple):
    """One line and its place."""

    place: LinePlace
    line: Line


@dataclass(frozen=True, slots=True)
class Chain:
    """The lines of one writer: the first and the last."""

    first: Read
    last: Read

    @property
    def is_from_the_start(self) -> bool:
        """Whether it has the writer's very first line."""
        return self.first.line.link.sequence == 1


@dataclass(frozen=True, slots=True)
class ChainReport:
    """The result. `passed_over` are lines without JSON, such as other output on standard output."""

    faults: tuple[ChainFault, ...]
    chains: tuple[Chain, ...]
    lines: int
    passed_over: int


@dataclass(slots=True)
class _Stretch:
    """Lines of one writer in one file, in the order of the file."""

    first: Read
    last: Read


@dataclass(slots=True)
class _File:
    """The content of one file."""

    stretches: dict[str, _Stretch] = field(default_factory=dict)
    faults: list[ChainFault] = field(default_factory=list)
    lines: int = 0
    passed_over: int = 0


def verify(files: Iterable[tuple[str, Iterable[bytes]]], heads: Collection[str] = ()) -> ChainReport:
    """Verify files, each a name and its lines, in any order. `heads` are hashes that must be among the lines."""
    missing = set(heads)
    read = [_read_file(name, raws, missing) for name, raws in files]
    stretches: dict[str, list[_Stretch]] = {}
    for file in read:
        for writer, stretch in file.stretches.items():
            stretches.setdefault(writer, []).append(stretch)
    faults = [fault for file in read for fault in file.faults]
    chains: list[Chain] = []
    for several in stretches.values():
        several.sort(key=lambda stretch: stretch.first.line.link.sequence)
        for before, after in pairwise(several):
            faults += _compare(before.last, after.first)
        chains.append(Chain(several[0].first, several[-1].last))
    faults += [
        ChainFault(None, f"no line has the hash {head}: the end of the log is missing, or its file is not among these")
        for head in sorted(missing)
    ]
    return ChainReport(tuple(faults), tuple(chains), sum(f.lines for f in read), sum(f.passed_over for f in read))


def _read_file(name: str, raws: Iterable[bytes], missing: set[str]) -> _File:
    file = _File()
    for number, raw in enumerate(raws, start=1):
        place = LinePlace(name, number)
        if b"{" not in raw:
            file.passed_over += 1
            continue
        try:
            line = parse_line(raw)
        except LineInvalid as exc:
            file.faults.append(ChainFault(place, str(exc)))
            continue
        file.lines += 1
        here = Read(place, line)
        stretch = file.stretches.get(line.link.writer)
        file.faults += _check_alone(here)
        if line.is_sound:
            missing.discard(line.link.hash)
        if stretch is None:
            file.stretches[line.link.writer] = _Stretch(here, here)
        else:
            file.faults += _compare(stretch.last, here)
            stretch.last = here
    return file


def _check_alone(here: Read) -> Iterator[ChainFault]:
    line = here.line
    if not line.is_sound:
        yield ChainFault(here.place, "this line was changed: its hash does not fit its content")
    elif line.link.sequence == 1 and line.previous != GENESIS:
        yield ChainFault(here.place, f"the first line of {line.link.writer} names a previous one")


def _compare(before: Read, after: Read) -> Iterator[ChainFault]:
    """The fault between two successive lines of a writer."""
    step = after.line.link.sequence - before.line.link.sequence
    if step > 1:
        yield ChainFault(after.place, f"{_lines(step - 1)} missing before this one (writer {after.line.link.writer})")
    elif step < 1:
        yield ChainFault(after.place, f"this line belongs before {before.place}: swapped, repeated or inserted")
    elif after.line.previous != before.line.link.hash:
        yield ChainFault(after.place, f"this line does not follow {before.place}: one of them was changed or inserted")


def _lines(count: int) -> str:
    return f"{count} lines are" if count > 1 else "a line is"
