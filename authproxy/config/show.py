"""Prints the effective configuration as YAML, with the source of each value in a comment.

The output loads to the same settings, except for secrets, which are hidden.
"""

from collections.abc import Iterator
from datetime import timedelta
from functools import lru_cache
from itertools import takewhile
from typing import Any

import yaml
from pydantic import SecretStr

from authproxy.config.document.messages import dotted
from authproxy.config.document.scalars import format_duration
from authproxy.config.document.schema import leaves
from authproxy.config.document.tree import DocumentError, KeyPath, parse_document
from authproxy.config.load import Loaded

HIDDEN = "<hidden>"


def show(loaded: Loaded) -> str:
    """Lines of YAML, each with a line break."""
    return "".join(f"{line}\n" for line in _lines(loaded))


def rows_of(loaded: Loaded) -> list[dict[str, Any]]:
    """Each value for programs: its key, the value, and its source. Secrets are hidden here too."""
    return [
        {"key": dotted(path), "value": _plain(value), "source": str(loaded.sources[dotted(path)])}
        for path, value in leaves(loaded.settings)
    ]


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case SecretStr():
            return HIDDEN
        case timedelta():
            return format_duration(value)
        case () | {}:
            return [] if value == () else {}
        case _:
            return str(value)


def write_scalar(value: Any) -> str:
    """One value in the form of config.yml: text that reads back as itself, `[]` and `{}` for an empty list and map."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case SecretStr():
            return HIDDEN
        case timedelta():
            return format_duration(value)
        case () | {}:
            return "[]" if value == () else "{}"
        case _:
            return _quoted_where_needed(str(value))


def _lines(loaded: Loaded) -> Iterator[str]:
    before: KeyPath = ()
    for path, value in leaves(loaded.settings):
        shared = sum(1 for _ in takewhile(lambda steps: steps[0] == steps[1], zip(path, before, strict=False)))
        written = f"{write_scalar(value)}  # {loaded.sources[dotted(path)]}"
        dash = 0  # levels of the line that a list's "- " takes up
        for depth, step in enumerate(path[shared:], start=shared):
            is_last = depth == len(path) - 1
            if isinstance(step, int):
                dash += 1
                if is_last:
                    yield f"{_indent(depth + 1, dash)}{written}"
                continue
            yield f"{_indent(depth, dash)}{_quoted_where_needed(step)}:{f' {written}' if is_last else ''}"
            dash = 0
        before = path


def _indent(depth: int, dashes: int) -> str:
    return "  " * (depth - dashes) + "- " * dashes


@lru_cache(maxsize=1000)  # most lines have the same few keys and values
def _quoted_where_needed(text: str) -> str:
    try:
        is_plain = parse_document(f"key: {text}  # comment", "").to_plain() == {"key": text}
    except DocumentError:
        is_plain = False
    return text if is_plain else yaml.safe_dump(text, default_style='"', width=float("inf"), allow_unicode=True).strip()
