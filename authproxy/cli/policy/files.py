"""Where the commands about policies find them, and the users: named by options, or in the configuration."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from authproxy.cli.settings import find_told, load_found
from authproxy.config.find import NoConfiguration
from authproxy.errors import StartError

if TYPE_CHECKING:
    from authproxy.config.load import Loaded
    from authproxy.config.settings import Settings
    from authproxy.identity.user_entry import UserEntry

# The rules that are taken without a configuration: those of a folder that holds nothing else.
POLICIES_HERE = Path("policies")

PoliciesOption: TypeAlias = Annotated[
    Path | None, typer.Option(help="A policy file or folder instead of the configuration's.")
]


def find_rules(policies: Path | None, config: Path | None) -> "tuple[Settings | None, Path]":
    """The settings, and where the rules are. Raises StartError where the configuration names none.

    Without a configuration the settings are None, and the rules those of `policies`, or of policies/ in this folder.
    Rules that are named need no configuration, so one in a usual place, which may be another program's, is not read.
    """
    try:
        loaded = load_found(find_told(config, None if policies is None else ()))
    except NoConfiguration:
        here = policies or POLICIES_HERE
        if not os.path.lexists(here):
            raise
        typer.echo(f"configuration: none, only the rules in {here.absolute()}", err=True)
        return None, here
    return loaded.settings, policies or policies_of(loaded)


def policies_of(loaded: "Loaded") -> Path:
    """Where the policies are. Raises StartError where the configuration names none."""
    if loaded.settings.policies is None:
        raise StartError(
            f"{loaded.origin}: names no policies; allowed: policies: {{path: …}} there, or --policies PATH here"
        )
    return loaded.settings.policies.path


def has_users(settings: "Settings | None") -> bool:
    """Whether the configuration's files say who exists: there is one, and no other server issues the tokens."""
    files = () if settings is None else [source.htpasswd or source.users for source in settings.sources]
    return any(file is not None and file.path.exists() for file in files)


def read_users_files(settings: "Settings | None") -> list[Mapping[str, "UserEntry"]]:
    """The users of each users file that is at hand. Raises StartError."""
    from authproxy.identity.users import read_users

    sources = () if settings is None else settings.sources
    files = [source.users.path for source in sources if source.users is not None]
    return [read_users(file) for file in files if file.exists()]


def read_htpasswd_names(settings: "Settings | None") -> frozenset[str]:
    """The names in the htpasswd files that are at hand. Raises StartError."""
    from authproxy.identity.htpasswd import load_htpasswd

    sources = () if settings is None else settings.sources
    files = [source.htpasswd.path for source in sources if source.htpasswd is not None]
    return frozenset(name for file in files if file.exists() for name in load_htpasswd(file).names)
