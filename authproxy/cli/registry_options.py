"""Options of every command that speaks with registries, and what comes of them."""

import os
import sys
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.config.find import find_home

if TYPE_CHECKING:
    from authproxy.images.registries import Registries
    from authproxy.oci.image_name import ImageName
    from authproxy.oci.manifest import Platform
    from authproxy.registry_client.trust import Trust

User = Annotated[
    str | None,
    typer.Option(help="Sign in as this user; the password is asked for. Default: the login that docker has stored."),
]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="With --user: read the password from standard input.")
]
Ca = Annotated[
    Path | None,
    typer.Option(
        help="A file of CAs to trust, besides the system's, those in /etc/docker/certs.d/HOST, and for this machine"
        " certs/ca.pem in this folder.",
        metavar="FILE",
        exists=True,
        dir_okay=False,
    ),
]
PlainHttp = Annotated[
    bool,
    typer.Option("--plain-http", help="Speak HTTP where HTTPS isn't answered. On this machine that needs no option."),
]
# Smaller chunks would be thousands of requests for a layer.
MIN_CHUNK_BYTES = 1_000_000

Jobs = Annotated[int, typer.Option(min=1, max=32, help="How many blobs move at the same time.")]
ChunkSize = Annotated[
    str | None,
    typer.Option(help="How much of a blob one request may send, 90MB, for a proxy that limits it. Default: all of it."),
]
Json = Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")]


def open_registries(
    user: str | None,
    ca: Path | None,
    *hosts: str,
    password_stdin: bool,
    plain_http: bool,
    chunk_size: str | None = None,
) -> "Registries":
    """Registries by what the options say; a password is read now. It is for the one registry of `hosts`."""
    from authproxy.images.registries import Registries
    from authproxy.registry_client.docker_config import Login

    login, chunk_bytes = None, None if chunk_size is None else _parse_chunk_size(chunk_size)
    if user is not None:
        if len(set(hosts)) != 1:
            raise typer.BadParameter(
                f"it is for one registry, and these are {', '.join(sorted(set(hosts)))}: docker login stores several",
                param_hint="--user",
            )
        login = Login(user, _read_password(password_stdin=password_stdin))
    elif password_stdin:
        raise typer.BadParameter("it needs --user", param_hint="--password-stdin")
    trust = make_trust(ca, plain_http=plain_http)
    return Registries(trust, login, os.environ, next(iter(hosts), None), chunk_bytes=chunk_bytes)


def _parse_chunk_size(text: str) -> int:
    from authproxy.config.document.scalars import parse_bytes

    try:
        size = parse_bytes(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--chunk-size") from None
    if size < MIN_CHUNK_BYTES:
        raise typer.BadParameter(f"{text} is less than 1MB, the least", param_hint="--chunk-size")
    return size


def make_trust(ca: Path | None, *, plain_http: bool) -> "Trust":
    """Which certificates are trusted, by the options and by the folder of the embedded default."""
    from authproxy.registry_client.trust import Trust, find_own_authority

    return Trust(ca, plain_http, own=find_own_authority(find_home(os.environ)))


def _read_password(*, password_stdin: bool) -> str:
    if password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise typer.BadParameter("standard input is not a terminal; use --password-stdin", param_hint="--user")
    return getpass("Password: ")  # on the terminal, whatever standard output is


def parse_name(text: str) -> "ImageName":
    """The name of an image on the command line. Raises BadParameter."""
    from authproxy.oci.image_name import parse_image_name

    try:
        return parse_image_name(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="REF") from None


def parse_registry(text: str) -> str:
    """A registry on the command line. Raises BadParameter."""
    from authproxy.registry_client.host import parse_named_host

    try:
        return parse_named_host(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="REGISTRY") from None


def parse_destination(text: str) -> tuple[str, str]:
    """A destination, a name or a place, in its plain spelling, and the registry that it is in.

    Raises BadParameter where it is neither.
    """
    from authproxy.images.names import is_prefix, name_below

    bare = plain_name(text, "DST")
    if "/" not in bare.rstrip("/"):
        host = parse_registry(text)
        return host, host
    return bare, parse_name(name_below("any", bare) if is_prefix(bare) else bare).host


def plain_name(text: str, hint: str) -> str:
    """A name, a place or a pattern in its plain spelling. Raises BadParameter."""
    from authproxy.oci.spelling import plain

    try:
        return plain(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=hint) from None


def plain_file(text: str, hint: str) -> None:
    """Refuse what is no path, but skopeo's way to write one. Raises BadParameter."""
    from authproxy.oci.spelling import plain_path

    try:
        plain_path(text, exists=Path(text).exists())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=hint) from None


def parse_platform(text: str | None) -> "Platform | None":
    """The platform on the command line. Raises BadParameter."""
    from authproxy.oci.manifest import Platform

    try:
        return None if text is None else Platform.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--platform") from None
