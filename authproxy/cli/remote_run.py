"""What every command about registries does with faults: says each in a line, and goes on with the rest."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import typer

from authproxy.cli.faults import tell

FAILED = 1


class Report:
    """Results on standard output, one a line, as text or as JSON; faults on standard error. Counts the faults."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.faults = 0

    def say(self, text: str, **fields: Any) -> None:
        """One result."""
        typer.echo(json.dumps(fields, default=str) if self.as_json else text)

    def fail(self, what: str, why: object) -> None:
        """One fault. The rest goes on."""
        self.faults += 1
        sentence = str(why)
        tell(Exception(sentence if sentence.startswith(what) else f"{what}: {sentence}"))


def remote_faults() -> tuple[type[Exception], ...]:
    """What ends one image and not the rest."""
    from authproxy.images.content import Interrupted, Missing
    from authproxy.images.move import MoveError
    from authproxy.remote.faults import RemoteError

    return Interrupted, Missing, MoveError, RemoteError


def run(work: Coroutine[Any, Any, None], report: Report, what: str) -> None:
    """Run a command to its end. Exit code 1 where anything failed; `what` names a fault that ended all of it."""
    try:
        asyncio.run(work)
    except remote_faults() as error:
        report.fail(what, error)
    if report.faults:
        raise typer.Exit(FAILED)
