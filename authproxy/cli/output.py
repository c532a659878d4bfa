"""Sizes, counts and hints for people."""

from collections.abc import Iterable

_STEP = 1000.0


def counted(count: int, noun: str, several: str | None = None) -> str:
    """`1 fault`, `2 faults`. `several`: the plural, if it isn't the noun with an s."""
    return f"{count} {noun if count == 1 else several or noun + 's'}"


def in_hours(seconds: float) -> str:
    """A time to wait: `24 h`; below two hours in minutes, `90 min`."""
    hours = seconds / 3600
    return f"{hours:.0f} h" if hours >= 2 else f"{max(1, round(seconds / 60))} min"  # noqa: PLR2004


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
