"""What the commands about policies are asked: scopes, actions on a repository or a tag, and times."""

import time
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias

import typer

if TYPE_CHECKING:
    from authproxy.access import Access
    from authproxy.policy.request import RequestFacts


At: TypeAlias = Annotated[
    str | None, typer.Option(help="The time for conditions, as 2026-01-31T08:00:00Z, instead of now.")
]
Address: TypeAlias = Annotated[
    str | None, typer.Option(help="The client's address for conditions, as 10.1.2.3. Absent: not known.")
]
Tls: TypeAlias = Annotated[
    bool | None, typer.Option(help="For conditions, whether the client speaks TLS. Absent: not known.")
]


Claims: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--claim", metavar="NAME=VALUE", help="A claim of the user; a repeated one has several values."),
]


class AskedAccess(NamedTuple):
    """What is asked for, and with which tag; None: with none."""

    accesses: tuple["Access", ...]
    tag: str | None


def parse_explained(scope: str, repository: str) -> AskedAccess:
    """`repository:team/app:pull,push`, or `pull,push` and `team/app:v1`. Raises typer.BadParameter."""
    if repository or scope == "catalog":
        return _parse_actions(scope, repository, "SCOPE")
    from authproxy.access import parse_scopes

    # What the protocol passes over in silence is a slip here.
    if not scope.split() or not all(parse_scopes([word]) for word in scope.split()):
        raise typer.BadParameter(
            f'"{scope}" is not a scope; allowed: type:name:action[,action…], such as repository:team/app:pull,push,'
            " or an action with a repository behind it, such as push team/app:v1",
            param_hint="SCOPE",
        )
    return AskedAccess(parse_scopes([scope]), None)


def parse_can(actions: str, repository: str, tag: str | None) -> AskedAccess:
    """One or several actions, on `team/app` with a tag behind a colon or in `tag`. Raises typer.BadParameter."""
    accesses, named = _parse_actions(actions, repository, "ACTIONS")
    if tag is None:
        return AskedAccess(accesses, named)
    if named is not None or actions == "catalog":
        raise typer.BadParameter(f"{repository or actions} has no room for another tag", param_hint="--tag")
    return _parse_actions(actions, f"{repository}:{tag}", "--tag")


def parse_who(action: str, repository: str) -> tuple["Access", str | None]:
    """One action, on `team/app` or `team/app:v1`. Raises typer.BadParameter."""
    (access, *others), tag = _parse_actions(action, repository, "ACTION")
    if others:
        raise typer.BadParameter(f'"{action}" are several; allowed: one action', param_hint="ACTION")
    return access, tag


def parse_time(at: str | None) -> float:
    """A time in seconds since 1970; now where none was given. Raises typer.BadParameter."""
    from authproxy.policy.case_schema import parse_time as parse

    if at is None:
        return time.time()
    try:
        return parse(at).timestamp()
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint="--at") from None


def parse_claims(texts: list[str] | None) -> dict[str, list[str]]:
    """The values of each claim. Raises typer.BadParameter."""
    claims: dict[str, list[str]] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f'"{text}" is no claim; allowed: NAME=VALUE', param_hint="--claim")
        claims.setdefault(name, []).append(value)
    return claims


def parse_request(address: str | None, *, tls: bool | None) -> "RequestFacts":
    """How it is asked, as far as it was said. Raises typer.BadParameter."""
    from authproxy.policy.case_schema import parse_address
    from authproxy.policy.request import RequestFacts

    try:
        return RequestFacts("" if address is None else parse_address(address), tls)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint="--address") from None


def _parse_actions(actions: str, repository: str, hint: str) -> AskedAccess:
    from authproxy.access import CATALOG, Access
    from authproxy.errors import NameInvalid, TagInvalid
    from authproxy.policy.model import HIDDEN_ACTIONS, REPOSITORY_ACTIONS
    from authproxy.reference import parse_repository, parse_tag

    if actions == "catalog":
        if repository:
            raise typer.BadParameter("the catalog has no repository; leave it out", param_hint="REPOSITORY")
        return AskedAccess((CATALOG,), None)
    known = (*REPOSITORY_ACTIONS, *HIDDEN_ACTIONS)
    if unknown := next((action for action in actions.split(",") if action not in known), None):
        raise typer.BadParameter(f'"{unknown}" is no action; allowed: {", ".join(known)}, catalog', param_hint=hint)
    if not repository:
        raise typer.BadParameter(f"it is missing; write {actions} team/app", param_hint="REPOSITORY")
    name, colon, tag = repository.partition(":")
    try:
        accesses = tuple(Access("repository", parse_repository(name), action) for action in actions.split(","))
        return AskedAccess(accesses, parse_tag(tag) if colon else None)
    except (NameInvalid, TagInvalid) as exc:
        raise typer.BadParameter(f'"{repository}" is not one: {exc}', param_hint="REPOSITORY") from None
