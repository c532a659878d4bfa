"""users.yaml: groups, disabled and expired users; their passwords are here or in an htpasswd file.

users:
  alice: {groups: [team], disabled: false, expires: 2026-12-31}
  ci:
    groups: [builders]
    robot: true             # an account for a machine
    password: $2y$10$…      # bcrypt; without one the entry never authenticates by itself
"""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, SecretStr
from pydantic_core import PydanticKnownError

from authproxy.config.document.messages import validate_document
from authproxy.config.document.tree import Document, read_document
from authproxy.identity.bcrypt_hash import MAX_COST, MIN_COST, find_cost
from authproxy.identity.expiry import parse_expiry
from authproxy.identity.names import find_name_problem
from authproxy.identity.user_entry import UserEntry
from authproxy.program import command


def _checked_name(name: str) -> str:
    if problem := find_name_problem(name):
        raise ValueError(problem)
    return name


def _checked_group(group: str) -> str:
    if not group or group != group.strip() or not group.isprintable():
        raise ValueError("a group is one line of text, without spaces around it")
    return group


def _checked_hash(value: SecretStr) -> SecretStr:
    if find_cost(value.get_secret_value()) is None:
        raise ValueError(
            f"not a bcrypt hash of cost {MIN_COST} to {MAX_COST}; make one with: htpasswd -nB NAME (the part after"
            f" the colon), or leave it out and set the password with: {command('user password NAME')}"
        )
    return value


def _checked_expiry(value: object) -> dt.datetime:
    if not isinstance(value, str):
        raise PydanticKnownError("string_type")
    return parse_expiry(value)


Name: TypeAlias = Annotated[str, AfterValidator(_checked_name)]
Group: TypeAlias = Annotated[str, AfterValidator(_checked_group)]
Hash: TypeAlias = Annotated[SecretStr, AfterValidator(_checked_hash)]
Expiry: TypeAlias = Annotated[dt.datetime, PlainValidator(_checked_expiry)]


class UserItem(BaseModel):
    """The keys of one user."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    groups: list[Group] = Field(default_factory=list)
    """The groups of the user, for policies. None by default."""

    disabled: bool = False
    """true: the user can neither log in nor use a refresh token, and the password is kept. Off by default."""

    expires: Expiry | None = None
    """The last day on which the user may log in (`2026-12-31`, to its end in UTC), or the time with its zone
    (`2026-12-31T18:00:00Z`) from which on neither a login nor a refresh token is accepted. Never by default."""

    robot: bool = False
    """true: this account is for a machine, so that policies can distinguish it from people. Off by default."""

    password: Hash | None = None
    """A bcrypt hash. Absent: the password in the htpasswd file; without one there, the user can't log in."""


class UsersFile(BaseModel):
    """The file's keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    users: dict[Name, UserItem | None] | None = None
    """The users by name. Empty by default."""


def read_users(path: Path) -> Mapping[str, UserEntry]:
    """Read the users of a file. Raises StartError with file, line and key."""
    return parse_users(read_document(path))


def parse_users(document: Document) -> Mapping[str, UserEntry]:
    """The users of a parsed file; an empty one has none. Raises StartError as `read_users` does."""
    if document.to_plain() is None:
        return MappingProxyType({})
    users = validate_document(document, UsersFile).users or {}
    return MappingProxyType({name: _to_entry(name, item or UserItem()) for name, item in users.items()})


def _to_entry(name: str, item: UserItem) -> UserEntry:
    hashed = item.password.get_secret_value() if item.password else None
    return UserEntry(name, hashed, frozenset(item.groups), item.disabled, item.expires, item.robot)
