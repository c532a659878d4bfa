"""What the operator has to mend, on standard error: each line says who speaks."""

import typer


def tell(fault: Exception) -> None:
    """Print a fault, which may have several lines."""
    for line in str(fault).splitlines():
        typer.echo(f"authproxy: {line}", err=True)
