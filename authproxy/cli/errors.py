"""Errors for the operator, on standard error: each line starts with the program's name."""

import typer


def tell(fault: Exception) -> None:
    """Print a fault, which may have several lines. Names of files in it are safe on a terminal."""
    from authproxy.cli.registry_run import printable

    for line in printable(str(fault)).splitlines():
        typer.echo(f"authproxy: {line}", err=True)
