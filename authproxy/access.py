"""Scopes as clients write them, access as tokens carry it, and the grant of a verified token.

Docker token authentication, "Token Scope Documentation"; the `access` claim is that of its JWT page.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from authproxy.principal import Principal

# "repository(plugin)" is a repository: the class is dropped.
_TYPE = re.compile(r"([a-z0-9]+)(?:\([a-z0-9]+\))?")


class Access(NamedTuple):
    """One action on one resource: ("repository", "team/app", "pull")."""

    type: str
    name: str
    action: str

    def __str__(self) -> str:
        return f"{self.type}:{self.name}:{self.action}"


def pull(repository: str) -> Access:
    """Read manifests and blobs of a repository."""
    return Access("repository", repository, "pull")


def push(repository: str) -> Access:
    """Write manifests and blobs to a repository."""
    return Access("repository", repository, "push")


def delete(repository: str) -> Access:
    """Delete manifests, tags and blobs of a repository."""
    return Access("repository", repository, "delete")


CATALOG = Access("registry", "catalog", "*")


class InvalidToken(Exception):
    """A bearer token that cannot be trusted. The text says why, for the log only: clients see just `invalid_token`."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a caller's credentials allow. A granted action `*` covers every action on that resource.

    `holder` is the principal with the attributes that rules at serve time need. None: the token has too few of them.
    """

    subject: str
    allowed: frozenset[Access] = frozenset()
    holder: Principal | None = None
    token_id: str = field(default="", compare=False)  # the `jti` of the token, for logs; "" without one

    def covers(self, access: Access) -> bool:
        """Whether this access is granted."""
        return access in self.allowed or access._replace(action="*") in self.allowed

    def lacks(self, needs: Collection[Access]) -> tuple[Access, ...]:
        """The accesses of `needs` that are not granted, in order."""
        if self.allowed.issuperset(needs):
            return ()
        return tuple([access for access in needs if not self.covers(access)])


class ExpiredToken(InvalidToken):
    """A token whose signature is valid and whose lifetime is over."""

    def __init__(self, grant: Grant) -> None:
        super().__init__("expired")
        self.grant = grant


def parse_scopes(texts: Iterable[str]) -> tuple[Access, ...]:
    """Read scopes into distinct accesses, in order. Each text holds one scope, or several separated by spaces.

    `type[(class)]:name:action[,action…]`; a name may hold `host:port/…`, so the type ends at the first colon and the
    actions begin after the last. A malformed scope grants nothing and raises nothing.
    """
    found: dict[Access, None] = {}
    for text in texts:
        for scope in text.split():
            kind, _, rest = scope.partition(":")
            name, colon, actions = rest.rpartition(":")
            match = _TYPE.fullmatch(kind)
            if match is None or not colon or not name:
                continue
            for action in actions.split(","):
                if action:
                    found[Access(match[1], name, action)] = None
    return tuple(found)


def format_scopes(accesses: Iterable[Access]) -> list[str]:
    """Write accesses as scopes, one per resource: `repository:a:pull,push`."""
    return [f"{kind}:{name}:{','.join(actions)}" for (kind, name), actions in _by_resource(accesses).items()]


def to_claim(accesses: Iterable[Access]) -> list[dict[str, Any]]:
    """The `access` claim of a token: `[{"type", "name", "actions": […]}]`."""
    return [
        {"type": kind, "name": name, "actions": actions} for (kind, name), actions in _by_resource(accesses).items()
    ]


def from_claim(claim: object) -> frozenset[Access]:
    """Read the `access` claim of a verified token. Raises ValueError if its shape is wrong."""
    if claim is None:
        return frozenset()
    allowed: set[Access] = set()
    for entry in claim if isinstance(claim, list) else [claim]:
        match entry:
            case {"type": str(kind), "name": str(name), "actions": [*actions]} if all(
                isinstance(a, str) for a in actions
            ):
                base = _TYPE.fullmatch(kind)
                allowed.update(Access(base[1] if base else kind, name, action) for action in actions)
            case {"type": str(), "name": str(), "actions": None}:
                continue  # docker_auth and Harbor write null for "none"
            case _:
                raise ValueError("an entry of access is not {type, name, actions}")
    return frozenset(allowed)


def _by_resource(accesses: Iterable[Access]) -> dict[tuple[str, str], list[str]]:
    grouped: dict[tuple[str, str], list[str]] = {}
    for kind, name, action in accesses:
        grouped.setdefault((kind, name), []).append(action)
    return grouped
