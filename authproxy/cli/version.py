"""`authproxy version`: what runs here, as a bug report wants it."""

from typing import Annotated

import typer

from authproxy import __version__
from authproxy.cli.examples import examples

# What decides about bytes, tokens and passwords.
LIBRARIES = ("bcrypt", "cryptography", "fastapi", "httptools", "httpx", "libpass", "pyjwt", "uvicorn")


EXAMPLES = examples("authproxy version", "authproxy version --json")


def version(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the version, and those of Python, OpenSSL and the libraries that matter."""
    import json
    import platform
    import ssl
    from importlib.metadata import version as version_of

    about = {
        "authproxy": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "openssl": ssl.OPENSSL_VERSION,
        "libraries": {name: version_of(name) for name in LIBRARIES},
    }
    if as_json:
        typer.echo(json.dumps(about, indent=2))
        return
    rows = [(name, text) for name, text in about.items() if isinstance(text, str)]
    for name, text in [*rows, *((name, version_of(name)) for name in LIBRARIES)]:
        typer.echo(f"{name:<13} {text}")
