"""Who somebody is, once credentials have proved it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Principal:
    """One caller, whichever source knows them. Policies and tokens read this value and nothing else of a source."""

    name: str  # "" for anonymous
    groups: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    source: str = ""  # "htpasswd", "ldap", …; "" for anonymous
    stamp: str = ""  # opaque; changes when the credentials do, which ends refresh tokens
    is_robot: bool = False  # an account that a machine signs in with

    @property
    def is_anonymous(self) -> bool:
        """Nobody has proved anything."""
        return not self.name


ANONYMOUS = Principal("")
