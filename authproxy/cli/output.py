"""Sizes, counts and hints for people."""

from collections.abc import Iterable

_STEP = 1000.0


def counted(count: int, noun: str, several: str | None = None) -> str:
    """`1 fault`, `2 faults`. `several`: the plural, if it isn't the noun with an s."""
    return f"{count} {noun if count == 1 else several or noun + 's'}"


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
