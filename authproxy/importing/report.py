"""What an importer has to say beside the rules: what did not carry over, and what was dangerous where it came from."""

import json
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """Why something is said."""

    LEFT = "left behind"  # the new rules allow less than the old ones, or something has to be done by hand
    NOTHING = "gives nothing"  # it matched nothing where it came from, so nothing is lost; its author may not know
    DANGER = "dangerous"  # it carries over as it was, and its author may have meant something else


class Finding(NamedTuple):
    """One thing that an operator should read, by the line it is about."""

    line: int  # from 1, in the file that was read; 0: all of it
    kind: Kind
    sentence: str


def render_text(source: str, findings: Iterable[Finding]) -> list[str]:
    """A line for each: `auth.yml:12: left behind: …`."""
    return [f"{place(source, one.line)}: {one.kind}: {one.sentence}" for one in findings]


def render_json(source: str, findings: Iterable[Finding]) -> str:
    """`{"source", "findings": [{"line", "kind", "sentence"}]}`, where kind is one of Kind's values."""
    entries = [{"line": one.line or None, "kind": str(one.kind), "sentence": one.sentence} for one in findings]
    return json.dumps({"source": source, "findings": entries}, indent=2, ensure_ascii=False)


def place(source: str, line: int) -> str:
    """`auth.yml:12`, or the file alone."""
    return f"{source}:{line}" if line else source
