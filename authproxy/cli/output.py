"""Sizes and counts for people."""

_STEP = 1000.0


def counted(count: int, noun: str) -> str:
    """`1 fault`, `2 faults`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def in_words(size: int) -> str:
    """So many bytes, as docker prints them: `12.3MB`."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < _STEP:
            return f"{value:.3g}{unit}"
        value /= _STEP
    return f"{value:.3g}TB"
