"""`authproxy health`: does the server of this configuration answer? For health checks of containers and scripts."""

import os
from typing import Annotated

import typer

from authproxy.cli.errors import tell
from authproxy.cli.examples import examples
from authproxy.cli.settings import ConfigArgument, ConfigToo, load_found, named_config
from authproxy.config.find import embedded as find_embedded
from authproxy.config.find import find_configuration
from authproxy.errors import StartError

UNHEALTHY = 1
UNKNOWN = 2


EXAMPLES = examples("authproxy health config.yml", "authproxy health --embedded --timeout 2")


def health(
    config: ConfigArgument = None,
    *,
    config_too: ConfigToo = None,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="The server was started in this folder with --embedded.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=3600, help="How long to wait for the answer, in seconds.")
    ] = 5.0,
) -> None:
    """Ask the server that runs on this machine for /v2/, and end well where it answers.

    Exit code: 0 it is healthy, 1 it is not, 2 that cannot be said: the configuration cannot be read. REGISTRY_*
    variables apply as they do to the server.
    """
    from authproxy.doctor.probe import find_fault

    named = named_config(config, config_too)
    if embedded and named is not None:
        raise typer.BadParameter("--embedded reads no configuration file: give one of the two")
    try:
        found = find_embedded(os.environ) if embedded else find_configuration(named, os.environ)
        loaded = load_found(found)
    except StartError as error:
        tell(error)
        raise typer.Exit(UNKNOWN) from None
    if fault := find_fault(loaded.settings, timeout):
        typer.echo(f"configuration: {found}", err=True)
        typer.echo(f"authproxy: {fault}", err=True)
        raise typer.Exit(UNHEALTHY)
    typer.echo("healthy")
