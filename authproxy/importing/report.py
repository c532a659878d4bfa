"""Findings of an importer: what was not translated, and what was dangerous in the source."""

import json
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """The kind of a finding."""

    LEFT = "left behind"  # the new rules allow less than the old ones, or manual work is needed
    NOTHING = "gives nothing"  # it matched nothing in the source, so nothing is lost; its author may not know
    DANGER = "dangerous"  # it is imported unchanged, and its author may have meant something else


class Remark(NamedTuple):
    """One message to the operator about a line of the file."""

    line: int  # from 1; 0: the whole file
    kind: Kind
    sentence: str


def render_text(source: str, findings: Iterable[Remark]) -> list[str]:
    """One line per finding: `auth.yml:12: left behind: …`."""
    return [f"{place(source, one.line)}: {one.kind}: {one.sentence}" for one in findings]


def render_json(source: str, findings: Iterable[Remark]) -> str:
    """`{"source", "findings": [{"line", "kind", "sentence"}]}`, where kind is one of Kind's values."""
    entries = [{"line": one.line or None, "kind": str(one.kind), "sentence": one.sentence} for one in findings]
    return json.dumps({"source": source, "findings": entries}, indent=2, ensure_ascii=False)


def place(source: str, line: int) -> str:
    """`auth.yml:12`, or only the file."""
    return f"{source}:{line}" if line else source
