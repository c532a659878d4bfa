"""The authenticated caller."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Principal:
    """One caller, from any identity source. Policies and tokens read only this value, never the source."""

    name: str  # "" for anonymous
    groups: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    source: str = ""  # "htpasswd", "ldap", …; "" for anonymous
    stamp: str = ""  # opaque; a change of the credentials changes it, which ends refresh tokens
    is_robot: bool = False  # a machine account

    @property
    def is_anonymous(self) -> bool:
        """The request had no credentials."""
        return not self.name


ANONYMOUS = Principal("")
