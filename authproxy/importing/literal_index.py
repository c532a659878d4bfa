"""An index of patterns by their literal prefixes and suffixes, which avoids comparing a long list pair by pair.

Two patterns can match a common text only if one literal prefix is a prefix of the other, and likewise the suffixes. The
index may return too many patterns and never too few.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from authproxy.importing.docker_auth.pattern import Pattern
from authproxy.importing.shapes import Shape, is_literal

_LAST = chr(0x10FFFF)


class Filed:
    """Texts with the numbers of their owners, found by prefix in both directions."""

    def __init__(self, texts: Iterable[tuple[str, int]]) -> None:
        self._sorted = sorted(texts)
        self._exact: dict[str, list[int]] = {}
        for text, number in self._sorted:
            self._exact.setdefault(text, []).append(number)

    def related(self, texts: Iterable[str]) -> list[int]:
        """The distinct numbers, in order, of all texts that are a prefix of one of these or have one as a prefix."""
        found: set[int] = set()
        for text in texts:
            found.update(self.beginning(text))
            start, end = bisect_left(self._sorted, (text, -1)), bisect_left(self._sorted, (text + _LAST, -1))
            found.update(number for _, number in self._sorted[start:end])
        return sorted(found)

    def beginning(self, text: str) -> set[int]:
        """The numbers of all texts that are a prefix of this one."""
        return {number for end in range(len(text) + 1) for number in self._exact.get(text[:end], ())}


class Ends:
    """Patterns indexed by both ends; None matches everything."""

    def __init__(self, patterns: Sequence[Pattern | None]) -> None:
        self._first = Filed((text, i) for i, pattern in enumerate(patterns) for text in beginnings(pattern))
        self._last = Filed((text[::-1], i) for i, pattern in enumerate(patterns) for text in endings(pattern))

    def related(self, pattern: Pattern | None) -> list[int]:
        """The numbers, in order, of all patterns that may match a common text with this one."""
        by_first = self._first.related(beginnings(pattern))
        by_last = self._last.related(text[::-1] for text in endings(pattern))
        return by_first if len(by_first) <= len(by_last) else by_last

    def matching(self, text: str) -> set[int]:
        """The numbers of all patterns that may match a text."""
        return self._first.beginning(text) & self._last.beginning(text[::-1])


def beginnings(pattern: Pattern | None) -> tuple[str, ...]:
    """Literal prefixes: every match of the pattern begins with one of them."""
    return _ends(pattern, 0)


def endings(pattern: Pattern | None) -> tuple[str, ...]:
    """Literal suffixes: every match of the pattern ends with one of them."""
    return _ends(pattern, -1)


def _ends(pattern: Pattern | None, at: int) -> tuple[str, ...]:
    if pattern is None or pattern.shapes is None:
        return ("",)
    return tuple({_end(shape, at) for shape in pattern.shapes})


def _end(shape: Shape, at: int) -> str:
    return str(shape[at]) if shape and is_literal(shape[at]) else ""
