"""`authproxy policy …`: ask the policies what they would say, before anybody else does."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.errors import StartError

if TYPE_CHECKING:
    from authproxy.access import Access
    from authproxy.config.model import Settings
    from authproxy.principal import Principal

ANONYMOUS = "-"  # no user can be asked for by this name; all others are as they sign in

# Where the embedded default keeps them.
DEFAULT_POLICIES = Path("policies")
DEFAULT_USERS = Path("data/users.yaml")

app = typer.Typer(no_args_is_help=True)


@app.callback()
def policy() -> None:
    """Ask the policies what they would say."""


@app.command()
def explain(
    user: Annotated[str, typer.Argument(help="A user's name, or - for a caller without credentials.")],
    scope: Annotated[str, typer.Argument(help="repository:team/app:pull,push or registry:catalog:*")],
    policies: Annotated[
        Path | None, typer.Option(help="A policy file or folder instead of the configuration's, or of policies/.")
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option(help="A group of the user, instead of those that the users file says.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A configuration that says where policies and users are.")] = None,
) -> None:
    """Say what a user may do, and the file, line and rule that decided it.

    Exit code 0: all of it is allowed; 1: something is denied; 2: it cannot be told.
    """
    from authproxy.policy.explain import explain, render
    from authproxy.policy.load import load_policies

    accesses = _parse_scope(scope)
    try:
        settings = _load_settings(config)
        principal = _find_principal(user, group, settings)
        rules = load_policies(policies or _policies_path(settings, config))
    except StartError as exc:
        typer.echo(f"authproxy: {exc}", err=True)
        raise typer.Exit(2) from None
    explanations = [one for access in accesses for one in explain(rules, principal, access)]
    for explanation in explanations:
        typer.echo("\n".join(render(explanation)))
    raise typer.Exit(0 if all(one.decision.allowed for one in explanations) else 1)


def _parse_scope(scope: str) -> tuple["Access", ...]:
    from authproxy.access import parse_scopes

    # What the protocol passes over in silence is a slip here.
    if not scope.split() or not all(parse_scopes([word]) for word in scope.split()):
        raise typer.BadParameter(
            f'"{scope}" is not a scope; allowed: type:name:action[,action…], such as repository:team/app:pull,push',
            param_hint="SCOPE",
        )
    return parse_scopes([scope])


def _load_settings(config: Path | None) -> "Settings | None":
    if config is None:
        return None
    from authproxy.config.load import load

    return load(config, os.environ).settings


def _policies_path(settings: "Settings | None", config: Path | None) -> Path:
    if settings is None:
        return DEFAULT_POLICIES
    if settings.policies is None:
        raise StartError(f"{config}: names no policies; allowed: policies: {{path: …}} there, or --policies PATH here")
    return settings.policies.path


def _find_principal(user: str, groups: list[str] | None, settings: "Settings | None") -> "Principal":
    from authproxy.principal import ANONYMOUS as NOBODY
    from authproxy.principal import Principal

    if not user:
        raise typer.BadParameter(f"a name is needed; {ANONYMOUS} is a caller without credentials", param_hint="USER")
    if user == ANONYMOUS:
        if groups:
            raise typer.BadParameter("a caller without credentials has no groups", param_hint="--group")
        return NOBODY
    return Principal(user, frozenset(groups) if groups else _find_groups(user, settings))


def _find_groups(user: str, settings: "Settings | None") -> frozenset[str]:
    """The groups that the users files say, all together, as at a login."""
    from authproxy.identity.users import read_users

    if settings is None:
        files = [DEFAULT_USERS] if DEFAULT_USERS.exists() else []
    else:
        files = [source.users.path for source in settings.sources if source.users is not None]
    entries = [entry for file in files if (entry := read_users(file).get(user)) is not None]
    if any(entry.disabled for entry in entries):
        typer.echo(f"authproxy: {user} is disabled: whatever the policies say, no token is issued", err=True)
    return frozenset[str]().union(*(entry.groups for entry in entries))
