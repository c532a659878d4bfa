"""Options of every command that speaks with registries, and what comes of them."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from authproxy.images.model import Platform
    from authproxy.images.registries import Registries
    from authproxy.remote.name import ImageName

User = Annotated[
    str | None,
    typer.Option(help="Sign in as this user; the password is asked for. Default: the login that docker has stored."),
]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="With --user: read the password from standard input.")
]
Ca = Annotated[
    Path | None,
    typer.Option(help="A file of certificates to believe besides the system's and those in /etc/docker/certs.d/HOST."),
]
PlainHttp = Annotated[
    bool, typer.Option("--plain-http", help="Speak HTTP. Without it only a registry of this machine is spoken to so.")
]
Jobs = Annotated[int, typer.Option(min=1, max=32, help="How many blobs move at the same time.")]
Json = Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")]


def open_registries(user: str | None, ca: Path | None, *, password_stdin: bool, plain_http: bool) -> "Registries":
    """Registries by what the options say; a password is read now."""
    from authproxy.images.registries import Registries
    from authproxy.remote.login import Login
    from authproxy.remote.trust import Trust

    login = None
    if user is not None:
        password = sys.stdin.readline().rstrip("\n") if password_stdin else typer.prompt("Password", hide_input=True)
        login = Login(user, password)
    elif password_stdin:
        raise typer.BadParameter("it needs --user", param_hint="--password-stdin")
    return Registries(Trust(ca, plain_http), login, os.environ)


def parse_name(text: str) -> "ImageName":
    """The name of an image on the command line. Raises BadParameter."""
    from authproxy.remote.name import parse_image_name

    try:
        return parse_image_name(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="REF") from None


def parse_platform(text: str | None) -> "Platform | None":
    """The platform on the command line. Raises BadParameter."""
    from authproxy.images.model import Platform

    try:
        return None if text is None else Platform.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--platform") from None
