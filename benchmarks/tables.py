"""Plain text tables for a terminal."""

from collections.abc import Mapping, Sequence

NOTHING = "-"


def figure(value: float) -> str:
    """A number; the larger it is, the fewer decimals."""
    return f"{value:,.2f}" if value < 1 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def pairs(entries: Mapping[str, str]) -> str:
    """Names and values, one pair a line."""
    width = max(map(len, entries))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in entries.items())


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first is text, the others are flush right."""
    widths = [max(len(line[index]) for line in [columns, *rows]) for index in range(len(columns))]
    lines = [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [columns, ["─" * width for width in widths], *rows]
    ]
    return "\n".join(lines)
