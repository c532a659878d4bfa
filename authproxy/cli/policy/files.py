"""Where the commands about policies find them, and the users: said by options, by a configuration, or the default."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from authproxy.errors import StartError

if TYPE_CHECKING:
    from authproxy.config.settings import Settings
    from authproxy.identity.user_entry import UserEntry

# Where the embedded default keeps them.
DEFAULT_POLICIES = Path("policies")
DEFAULT_USERS = Path("data/users.yaml")
DEFAULT_HTPASSWD = Path("data/htpasswd")

PoliciesOption: TypeAlias = Annotated[
    Path | None, typer.Option(help="A policy file or folder instead of the configuration's, or of policies/.")
]
ConfigOption: TypeAlias = Annotated[
    Path | None, typer.Option(help="A configuration that says where policies and users are.")
]


def load_settings(config: Path | None) -> "Settings | None":
    """The settings of a configuration that was named. Raises StartError."""
    if config is None:
        return None
    from authproxy.config.load import load

    return load(config, os.environ).settings


def policies_path(settings: "Settings | None", config: Path | None) -> Path:
    """Where the policies are. Raises StartError where the configuration names none, or the default is not here."""
    if settings is None:
        if not DEFAULT_POLICIES.exists():
            raise StartError(
                f"there is no {DEFAULT_POLICIES} in this folder; go to where `authproxy serve --embedded` has been"
                " started once, or name the rules, or a configuration: --config CONFIG"
            )
        return DEFAULT_POLICIES
    if settings.policies is None:
        raise StartError(f"{config}: names no policies; allowed: policies: {{path: …}} there, or --policies PATH here")
    return settings.policies.path


def read_users_files(settings: "Settings | None") -> list[Mapping[str, "UserEntry"]]:
    """The users of each users file that is at hand. Raises StartError."""
    from authproxy.identity.users import read_users

    if settings is None:
        files = [DEFAULT_USERS] if DEFAULT_USERS.exists() else []
    else:
        files = [source.users.path for source in settings.sources if source.users is not None]
    return [read_users(file) for file in files]


def read_htpasswd_names(settings: "Settings | None") -> frozenset[str]:
    """The names in the htpasswd files that are at hand. Raises StartError."""
    from authproxy.identity.htpasswd import load_htpasswd

    files = (
        [DEFAULT_HTPASSWD]
        if settings is None
        else [source.htpasswd.path for source in settings.sources if source.htpasswd is not None]
    )
    return frozenset(name for file in files if file.exists() for name in load_htpasswd(file).names)
