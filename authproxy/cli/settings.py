"""The configuration that a command reads, by the rule of `config/find.py`, and what commands need of it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias
from urllib.parse import urlsplit

import typer

from authproxy.config.find import EMBEDDED_DEFAULT, Found, find_configuration
from authproxy.errors import StartError
from authproxy.program import remember_config

if TYPE_CHECKING:
    from authproxy.config.load import Loaded
    from authproxy.config.sections.token import Token
    from authproxy.config.settings import Settings

_WITHOUT = "without it: REGISTRY_CONFIGURATION_PATH, the embedded default in this folder, or the usual places."

ConfigArgument: TypeAlias = Annotated[
    Path | None, typer.Argument(metavar="CONFIG", help=f"The server's config.yml; {_WITHOUT}")
]
# For commands with the argument: people try both.
ConfigToo: TypeAlias = Annotated[Path | None, typer.Option("--config", metavar="CONFIG", help="The same as CONFIG.")]
ConfigOption: TypeAlias = Annotated[
    Path | None, typer.Option("--config", metavar="CONFIG", help=f"The server's config.yml; {_WITHOUT}")
]


def named_config(argument: Path | None, option: Path | None) -> Path | None:
    """The configuration of a command that takes it as an argument and as an option. Raises BadParameter for two."""
    if argument is not None and option is not None and argument != option:
        raise typer.BadParameter(f"two configurations, {argument} and {option}: name one", param_hint="--config")
    return option if argument is None else argument


def find_loaded(config: Path | None) -> "Loaded":
    """Find the configuration, print which one it is to standard error, and read it. Raises StartError."""
    return load_found(find_told(config))


def find_told(config: Path | None, usual_places: Sequence[Path] | None = None) -> Found:
    """Find the configuration, and print which one it is to standard error. Raises StartError."""
    remember_config(config)
    found = find_configuration(config, os.environ, usual_places)
    typer.echo(f"configuration: {found}", err=True)
    return found


def load_found(found: Found, *, has_hosts: bool = False) -> "Loaded":
    """Read it. The settings are those of its server, variables included. Raises StartError.

    `has_hosts`: the embedded default is for other machines.
    """
    from authproxy.config.embedded import Layout
    from authproxy.config.load import load, load_values

    if found.file is not None:
        return load(found.file, os.environ)
    return load_values(Layout(found.home).values(has_hosts=has_hosts), EMBEDDED_DEFAULT, os.environ)


def token_of(settings: "Settings") -> "Token":
    """The section of a configuration whose keys sign tokens. Raises StartError where there is none, or no keys yet."""
    if settings.token is None:
        raise StartError("there is no token section in the configuration, so no key signs; write token: {keys: FOLDER}")
    if not settings.token.keys.is_dir():
        raise StartError(
            f"there is no folder {settings.token.keys}; the first start of the server makes it. Start the server once,"
            " or name the configuration of one that runs: --config FILE"
        )
    return settings.token


def realm_of(settings: "Settings", token: "Token", host: str | None = None) -> str | None:
    """Where clients fetch tokens, as the challenge has it for those who ask us.

    `host` is scheme and host where the configuration leaves them to the request; without both it is not known.
    """
    base = (settings.http.host or host or "").rstrip("/")
    if token.realm or not base:
        return token.realm
    prefix = "" if urlsplit(base).path else settings.http.prefix.rstrip("/")
    return f"{base}{prefix}/token"
