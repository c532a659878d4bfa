"""`authproxy health`: does the server of this configuration answer? For health checks of containers and scripts."""

import os
from pathlib import Path
from typing import Annotated

import typer

from authproxy.cli.errors import tell
from authproxy.cli.examples import examples
from authproxy.errors import StartError

UNHEALTHY = 1
UNKNOWN = 2


EXAMPLES = examples("authproxy health config.yml", "authproxy health --embedded --timeout 2")


def health(
    config: Annotated[
        Path | None, typer.Argument(help="The server's config.yml; without it the usual places are searched.")
    ] = None,
    *,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="The server was started in this folder with --embedded.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="How long to wait for the answer, in seconds.")] = 5.0,
) -> None:
    """Ask the server that runs on this machine for /v2/, and end well where it answers.

    Exit code: 0 it is healthy, 1 it is not, 2 that cannot be said: the configuration cannot be read. REGISTRY_*
    variables apply as they do to the server.
    """
    from authproxy.config.load import load, load_values
    from authproxy.doctor.probe import find_fault
    from authproxy.quickstart import Layout

    if embedded and config is not None:
        raise typer.BadParameter("--embedded reads no configuration file: give one of the two")
    try:
        layout = Layout(Path())
        loaded = load_values(layout.values(), "embedded default", os.environ) if embedded else load(config, os.environ)
    except StartError as error:
        tell(error)
        raise typer.Exit(UNKNOWN) from None
    if fault := find_fault(loaded.settings, timeout):
        typer.echo(f"authproxy: {fault}", err=True)
        raise typer.Exit(UNHEALTHY)
    typer.echo("healthy")
