"""Is an audit log whole? Lines that were changed, left out, swapped or put in, and a tail that was cut.

What can't be told from the lines alone: that the newest lines are missing (for that one needs a head, the hash of a
line that was the last one once), that the oldest are (rotation removes them), and that all of it was rewritten.
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
    """One thing that is wrong."""

    place: LinePlace | None  # None: it is about something that is not there
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text


class Read(NamedTuple):
    """One line and its place."""

    place: LinePlace
    line: Line


@dataclass(frozen=True, slots=True)
class Chain:
    """What was found of one writer: the first and the last of its lines."""

    first: Read
    last: Read

    @property
    def is_from_the_start(self) -> bool:
        """Whether the writer's very first line is there."""
        return self.first.line.link.sequence == 1


@dataclass(frozen=True, slots=True)
class ChainReport:
    """The answer. `passed_over` are lines that hold no JSON, such as what else went to standard output."""

    faults: tuple[ChainFault, ...]
    chains: tuple[Chain, ...]
    lines: int
    passed_over: int


@dataclass(slots=True)
class _Stretch:
    """Lines of one writer in one file, in the order in which they stand there."""

    first: Read
    last: Read


@dataclass(slots=True)
class _File:
    """What one file says."""

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
        ChainFault(None, f"no line has the hash {head}: the tail was cut, or its file is not among these")
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
        yield ChainFault(here.place, "this line was changed: its hash is that of another content")
    elif line.link.sequence == 1 and line.previous != GENESIS:
        yield ChainFault(here.place, f"the first line of {line.link.writer} names one before it")


def _compare(before: Read, after: Read) -> Iterator[ChainFault]:
    """What is wrong where one line of a writer follows another."""
    step = after.line.link.sequence - before.line.link.sequence
    if step > 1:
        yield ChainFault(after.place, f"{_lines(step - 1)} missing before this one (writer {after.line.link.writer})")
    elif step < 1:
        yield ChainFault(after.place, f"this line belongs before {before.place}: swapped, repeated or put in")
    elif after.line.previous != before.line.link.hash:
        yield ChainFault(after.place, f"this line does not follow {before.place}: one of them was changed or put in")


def _lines(count: int) -> str:
    return f"{count} lines are" if count > 1 else "a line is"
