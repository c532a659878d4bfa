"""`authproxy version`: what runs here, as a bug report wants it."""

from pathlib import Path

import typer

import authproxy
from authproxy.cli.examples import examples
from authproxy.cli.json_output import AsJson

# What decides about bytes, tokens and passwords.
LIBRARIES = ("bcrypt", "cryptography", "fastapi", "httptools", "httpx", "libpass", "pyjwt", "uvicorn")


EXAMPLES = examples("authproxy version", "authproxy version --json")


def revision() -> str | None:
    """The commit of which a release was built; None for a clone, or a build by other means."""
    file = Path(authproxy.__file__).with_name("revision")
    return file.read_text(encoding="ascii").strip() if file.exists() else None


def version(*, as_json: AsJson = False) -> None:
    """Show the version with its commit, and those of Python, OpenSSL and the libraries that matter."""
    import json
    import platform
    import ssl
    from importlib.metadata import version as version_of

    about = {
        "authproxy": authproxy.__version__,
        "revision": revision(),
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
