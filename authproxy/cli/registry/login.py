"""`authproxy registry login` and `logout`: logins that docker uses too, and docker's that we use."""

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.cli.errors import tell
from authproxy.cli.examples import examples
from authproxy.cli.json_output import AsJson, in_json
from authproxy.cli.registry_options import Ca, PlainHttp, make_trust
from authproxy.errors import StartError

if TYPE_CHECKING:
    from authproxy.registry_client.login_check import CheckedLogin

LOGIN_EXAMPLES = examples(
    "authproxy registry login registry.example.org -u alice",
    "authproxy registry login localhost:5000 -u alice --password-stdin < password.txt",
)
LOGOUT_EXAMPLES = examples("authproxy registry logout registry.example.org")

Registry = Annotated[
    str, typer.Argument(metavar="HOST", help="The registry, with a port where it has one; docker.io for Docker Hub.")
]


def login(
    registry: Registry,
    *,
    user: Annotated[
        str | None, typer.Option("--user", "-u", "--username", help="The user. Default: it is asked for.")
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    ca: Ca = None,
    plain_http: PlainHttp = False,
    as_json: AsJson = False,
) -> None:
    """Try a login at a registry, and keep it where docker keeps it: docker and podman use it too.

    That is the credential helper that docker's config.json names, or else that file, in which it is not encrypted.
    Where the registry's token server gives an identity token, that is kept in place of the password.

    Exit code: 0 it is kept, 1 the registry refuses it or cannot be asked, and nothing is kept, 2 the command is wrong.
    """
    import asyncio

    from authproxy.registry_client.docker_config import Login
    from authproxy.registry_client.docker_config_edit import store_login
    from authproxy.registry_client.errors import RegistryClientError
    from authproxy.registry_client.login_check import sign_in

    host = parse_registry(registry)
    name = user if user is not None else _ask_user(from_terminal=not password_stdin)
    if not name or ":" in name:
        raise typer.BadParameter("a user's name has a character at least, and no colon", param_hint="--user")
    password = _ask_password(from_stdin=password_stdin)
    try:
        signed_in = asyncio.run(sign_in(host, Login(name, password), make_trust(ca, plain_http=plain_http)))
        stored = store_login(host, signed_in.login, os.environ)
    except RegistryClientError as error:
        raise StartError(str(error)) from error
    _tell_doubts(host, signed_in)
    if stored.helper is None:
        where = str(stored.path)
        tell(
            Exception(
                f"warning: the login is stored unencrypted in {where}; a credential helper of docker would keep it safe"
            )
        )
    else:
        where = f"docker-credential-{stored.helper}"
    if as_json:
        content = {"registry": host, "user": name, "kept_in": where, "was_checked": signed_in.was_asked}
        typer.echo(in_json(content))
        return
    typer.echo(f"logged in to {host} as {name}; kept in {where}")


def logout(registry: Registry, *, as_json: AsJson = False) -> None:
    """Forget the login for a registry, wherever docker keeps it.

    Exit code: 0 none is kept any more, 1 it cannot be removed, 2 the command is wrong.
    """
    from authproxy.registry_client.docker_config_edit import erase_login
    from authproxy.registry_client.errors import RegistryClientError

    host = parse_registry(registry)
    try:
        was_there = erase_login(host, os.environ)
    except RegistryClientError as error:
        raise StartError(str(error)) from error
    if as_json:
        typer.echo(json.dumps({"registry": host, "was_logged_in": was_there}, indent=2))
        return
    typer.echo(f"logged out of {host}" if was_there else f"not logged in to {host}")


def parse_registry(text: str) -> str:
    """The registry of a command line. Raises BadParameter."""
    from authproxy.registry_client.host import parse_host

    try:
        return parse_host(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="HOST") from None


def _tell_doubts(host: str, signed_in: "CheckedLogin") -> None:
    if not signed_in.was_asked:
        tell(Exception(f"warning: {host} does not ask for credentials, so the password was not tried"))


def _ask_user(*, from_terminal: bool) -> str:
    if not from_terminal or not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask for the user; name one", param_hint="--user")
    answer: str = typer.prompt("Username")
    return answer


def _ask_password(*, from_stdin: bool) -> str:
    if from_stdin:
        try:
            password = sys.stdin.buffer.read().decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise StartError("the password on standard input is not UTF-8") from error
    elif sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True)
    else:
        raise typer.BadParameter("there is no terminal to ask for the password; use --password-stdin", param_hint="-u")
    if not password:
        raise StartError("the password is empty; nothing was tried")
    return password
