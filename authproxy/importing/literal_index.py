"""Patterns filed by the literal text at their two ends, so that a long list is not compared pair by pair.

Two patterns have a text in common only where the literal beginning of one begins the other's, and the same at the end.
What is found this way may be too much, never too little.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from authproxy.importing.docker_auth.pattern import Pattern
from authproxy.importing.shapes import Shape, is_literal

_LAST = chr(0x10FFFF)


class Filed:
    """Texts with the numbers of their owners: found by what they begin, or by what begins them."""

    def __init__(self, texts: Iterable[tuple[str, int]]) -> None:
        self._sorted = sorted(texts)
        self._exact: dict[str, list[int]] = {}
        for text, number in self._sorted:
            self._exact.setdefault(text, []).append(number)

    def related(self, texts: Iterable[str]) -> list[int]:
        """The numbers of all texts that begin one of these, or that one of these begins; in order, none twice."""
        found: set[int] = set()
        for text in texts:
            found.update(self.beginning(text))
            start, end = bisect_left(self._sorted, (text, -1)), bisect_left(self._sorted, (text + _LAST, -1))
            found.update(number for _, number in self._sorted[start:end])
        return sorted(found)

    def beginning(self, text: str) -> set[int]:
        """The numbers of all texts that this one begins with."""
        return {number for end in range(len(text) + 1) for number in self._exact.get(text[:end], ())}


class Ends:
    """Patterns, None for one that matches everything, filed by both of their ends."""

    def __init__(self, patterns: Sequence[Pattern | None]) -> None:
        self._first = Filed((text, i) for i, pattern in enumerate(patterns) for text in beginnings(pattern))
        self._last = Filed((text[::-1], i) for i, pattern in enumerate(patterns) for text in endings(pattern))

    def related(self, pattern: Pattern | None) -> list[int]:
        """The numbers, in order, of all that may have a text in common with this one."""
        by_first = self._first.related(beginnings(pattern))
        by_last = self._last.related(text[::-1] for text in endings(pattern))
        return by_first if len(by_first) <= len(by_last) else by_last

    def matching(self, text: str) -> set[int]:
        """The numbers of all that may match a text."""
        return self._first.beginning(text) & self._last.beginning(text[::-1])


def beginnings(pattern: Pattern | None) -> tuple[str, ...]:
    """Literal texts of which each that a pattern matches begins with one."""
    return _ends(pattern, 0)


def endings(pattern: Pattern | None) -> tuple[str, ...]:
    """Literal texts of which each that a pattern matches ends with one."""
    return _ends(pattern, -1)


def _ends(pattern: Pattern | None, at: int) -> tuple[str, ...]:
    if pattern is None or pattern.shapes is None:
        return ("",)
    return tuple({_end(shape, at) for shape in pattern.shapes})


def _end(shape: Shape, at: int) -> str:
    return str(shape[at]) if shape and is_literal(shape[at]) else ""
