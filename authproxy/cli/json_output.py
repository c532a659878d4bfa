"""`--json`: the option, and how a command that prints one document writes it."""

import json
from typing import Annotated, Any, TypeAlias

import typer

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def in_json(content: Any) -> str:
    """A document for programs, which people can read too."""
    return json.dumps(content, indent=2, ensure_ascii=False)
