"""The callers that the commands about policies ask for: users of the configuration's files, or any by options."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from authproxy.cli.output import meant
from authproxy.cli.policy.files import has_users, read_htpasswd_names, read_users_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from authproxy.config.settings import Settings
    from authproxy.principal import Principal

ANONYMOUS = "-"  # no user can have this name; all others are as they sign in


def find_caller(
    user: str,
    groups: list[str] | None,
    settings: "Settings | None",
    *,
    is_robot: bool,
    claims: "Mapping[str, Sequence[str]]",
    hint: str = "USER",
) -> "Principal":
    """The caller of a command line, with what the users files say. Prints a note for one who cannot log in.

    Raises BadParameter, StartError.
    """
    from authproxy.principal import ANONYMOUS as NOBODY
    from authproxy.principal import Principal

    if not user:
        raise typer.BadParameter(f"a name is needed; {ANONYMOUS} is a caller without credentials", param_hint=hint)
    if user == ANONYMOUS:
        if groups:
            raise typer.BadParameter("a caller without credentials has no groups", param_hint="--group")
        if is_robot:
            raise typer.BadParameter("a caller without credentials is no robot", param_hint="--robot")
        if claims:
            raise typer.BadParameter("a caller without credentials has no claims", param_hint="--claim")
        return NOBODY
    entries = [users[user] for users in read_users_files(settings) if user in users]
    if any(entry.disabled for entry in entries):
        typer.echo(f"authproxy: {user} is disabled: whatever the policies say, no token is issued", err=True)
    elif any(entry.is_shut_out(time.time()) for entry in entries):
        typer.echo(f"authproxy: {user} has expired: whatever the policies say, no token is issued", err=True)
    users = known_users(settings)
    if has_users(settings) and user not in users and not (groups or claims or is_robot):
        hint = meant(user, users)
        typer.echo(f"authproxy: no such user: {user}{hint}; below is what a new user of this name may do", err=True)
    known = users.get(user, Principal(user))
    return replace(
        known,
        groups=frozenset(groups) if groups else known.groups,
        claims=claims,
        is_robot=is_robot or known.is_robot,
    )


def known_users(settings: "Settings | None") -> "Mapping[str, Principal]":
    """The users of the users files and the htpasswd files, each with what all files together say, as at a login."""
    from authproxy.principal import Principal

    users = {name: Principal(name) for name in read_htpasswd_names(settings)}
    for file in read_users_files(settings):
        for name, entry in file.items():
            known = users.get(name, Principal(name))
            users[name] = Principal(name, known.groups | entry.groups, is_robot=known.is_robot or entry.is_robot)
    return users


def find_able(settings: "Settings | None") -> frozenset[str]:
    """The users who can log in now: they have a password, and are neither disabled nor expired. Raises StartError."""
    from authproxy.identity.htpasswd import load_htpasswd

    sources, now = () if settings is None else settings.sources, time.time()
    htpasswd = [source.htpasswd.path for source in sources if source.htpasswd is not None]
    entries = [(name, entry) for file in read_users_files(settings) for name, entry in file.items()]
    shut_out = {name for name, entry in entries if entry.is_shut_out(now)}
    with_password = {name for name, entry in entries if entry.hashed is not None}
    with_password.update(name for path in htpasswd if path.exists() for name in load_htpasswd(path).entries)
    return frozenset(with_password - shut_out)
