"""Faults of the commands about policies: files that cannot be read are reported with exit code 2."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from authproxy.cli.errors import tell
from authproxy.errors import StartError


@contextmanager
def reporting() -> Iterator[None]:
    """Report a file that cannot be read in one line, with exit code 2."""
    try:
        yield
    except StartError as exc:
        tell(exc)
        raise typer.Exit(2) from None
