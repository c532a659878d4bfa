"""What `user add` says about a new user: whether a rule or a group has the name, what it may do, what is next."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from authproxy.config.endpoint import EVERY_ADDRESS
from authproxy.config.find import EMBEDDED_DEFAULT
from authproxy.errors import StartError
from authproxy.program import command
from authproxy.this_machine import bracketed

if TYPE_CHECKING:
    from authproxy.config.load import Loaded
    from authproxy.config.settings import Settings
    from authproxy.policy.capabilities import Capability
    from authproxy.policy.model import PolicySet

_FIX = "choose another name, or add the user all the same with --force"


def load_rules(settings: "Settings") -> "PolicySet | None":
    """The rules in force; None where there are none, or they do not load: other commands report that."""
    from authproxy.policy.load import load_policies

    section = settings.policies
    if section is None or not section.path.exists():
        return None
    try:
        return load_policies(section.path)
    except StartError:
        return None


def check_free_name(
    rules: "PolicySet | None", htpasswd: Path, users: Path | None, name: str, groups: "Sequence[str]"
) -> None:
    """Raise StartError where the name is a group's, or a placeholder gives it, or a new group, what is not theirs."""
    from authproxy.identity.accounts import load_or_empty, read_groups
    from authproxy.policy.shared_names import find_shared_names

    entries = read_groups(users)
    known = {group for entry in entries.values() for group in entry.groups}
    for group, place in _groups(rules, users, known, groups):
        # In another spelling it is no other right, but as easily taken for the group.
        if group.casefold() == name.casefold():
            raise StartError(f"{name} would be a user with the name of the group {group} ({place}); {_FIX}")
    if rules is None:
        return
    shared = find_shared_names(
        rules,
        users={*load_or_empty(htpasswd).names, *entries, name},
        groups={*known, *groups},
        asked={name, *(group for group in groups if group not in known)},
    )
    if (first := next(shared, None)) is not None:
        raise StartError(f"{first}; {_FIX}")


def find_similar(htpasswd: Path, users: Path | None, name: str) -> str | None:
    """Another user whose name differs in upper and lower case alone."""
    from authproxy.identity.accounts import load_or_empty, read_groups

    names = {*load_or_empty(htpasswd).names, *read_groups(users)}
    return next((one for one in sorted(names) if one != name and one.casefold() == name.casefold()), None)


def find_may(rules: "PolicySet", name: str, groups: "Sequence[str]", *, is_robot: bool) -> "tuple[Capability, ...]":
    """What the rules allow the new user."""
    from authproxy.policy.capabilities import find_capabilities
    from authproxy.principal import Principal

    return find_capabilities(rules, Principal(name, frozenset(groups), is_robot=is_robot))


def may_as_json(capabilities: "Sequence[Capability]") -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {
            "allowed": one.allowed,
            "actions": [str(action) for action in one.actions],
            "repositories": None if one.repositories is None else one.repositories.text,
            "tags": list(one.tags),
            "when": one.when or None,
        }
        for one in capabilities
    ]


def next_steps(loaded: "Loaded", htpasswd: Path, name: str) -> Iterator[str]:
    """The commands to type next."""
    from authproxy.config.embedded import Layout
    from authproxy.policy.glob import placeable_name

    user, names = shlex.quote(name), []
    if loaded.origin == EMBEDDED_DEFAULT:
        from authproxy.own_certificate import given_hosts

        names = given_hosts(Layout(htpasswd.parent.parent))
    yield f"docker login {login_host(loaded.settings, names) or 'HOST'} -u {user}"
    yield command(f"policy explain {user} push {placeable_name(name) or 'team'}/app")


def login_host(settings: "Settings", names: "Sequence[str]" = ()) -> str | None:
    """The registry as clients name it: by the first of its `names`, or as clients on this machine do.

    None where the server listens on a Unix socket, or on any free port.
    """
    if settings.http.host:
        return urlsplit(settings.http.host).netloc
    where = settings.http.addr
    if isinstance(where, Path) or not where.port:  # the kernel chooses a port 0 for each start
        return None
    here = "localhost" if where.host in EVERY_ADDRESS else where.host
    shown = bracketed(next((name for name in names if not name.startswith("*")), here))
    return shown if where.port == (443 if settings.http.tls is not None else 80) else f"{shown}:{where.port}"


def _groups(
    rules: "PolicySet | None", users: Path | None, known: set[str], new: "Sequence[str]"
) -> Iterator[tuple[str, str]]:
    """Each group with the place that names it."""
    for rule in rules.rules if rules is not None else ():
        yield from ((key.name, str(rule)) for key in sorted(rule.subjects.any_of) if key.kind == "group")
    yield from ((group, str(users)) for group in sorted(known))
    yield from ((group, "--group") for group in new)
