"""Errors for the operator, on standard error: each line starts with the program's name."""

import typer


def tell(fault: Exception) -> None:
    """Print a fault, which may have several lines."""
    for line in str(fault).splitlines():
        typer.echo(f"authproxy: {line}", err=True)
