"""Sizes, counts and hints for people."""

from collections.abc import Iterable

_STEP = 1000.0


def counted(count: int, noun: str) -> str:
    """`1 fault`, `2 faults`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def with_referrers(line: str, count: int) -> str:
    """A line about an image, and how many referrers were new with it."""
    return f"{line}, with {counted(count, 'referrer')}" if count else line


def meant(word: str, known: Iterable[str]) -> str:
    """` (did you mean alice?)`, or nothing where no known name is like it."""
    from difflib import get_close_matches

    close = get_close_matches(word, sorted(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def in_words(size: int) -> str:
    """So many bytes, as docker prints them: `12.3MB`."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < _STEP:
            return f"{value:.3g}{unit}"
        value /= _STEP
    return f"{value:.3g}TB"
