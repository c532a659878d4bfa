"""Selects the caller's attributes to embed in a token, so that rules at serve time decide as with the full principal.

A token has no room for all groups and claims, and few of them matter. The selection may include too many attributes and
never too few.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from authproxy.access import CATALOG, Access
from authproxy.policy.decide import expand, find_target
from authproxy.policy.model import HIDDEN_ACTIONS, Action, PolicySet, Rule, SubjectKey, Target, subject_keys
from authproxy.principal import Principal


@dataclass(frozen=True, slots=True)
class Carried:
    """The embedded attributes of a caller; the name is the token's subject."""

    groups: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    source: str = ""  # "" also if no rule needs it
    is_robot: bool = False  # like the source

    def to_principal(self, name: str) -> Principal:
        """The principal for decisions about requests with the token; "" is anonymous."""
        return Principal(name, self.groups, self.claims, self.source, is_robot=self.is_robot)


NOTHING = Carried()

# The attributes that rules can match besides the subject of a token.
_CARRIED = ("group", "claim", "robot", "any-robot")


def carried(policies: PolicySet, principal: Principal, accesses: Iterable[Access]) -> Carried:
    """The attributes for a token with these accesses: those in rules that may be evaluated again at serve time.

    These are the rules about each repository that a rule about tags, or about an action that `push` includes, could
    match; and for the catalog, which is filtered by what the caller may pull, all rules about pulling.
    """
    if principal.is_anonymous:
        return NOTHING
    needs = _Needs(principal)
    for access in (single for wished in accesses for single in expand(wished)):
        if access == CATALOG:
            for rule in policies.rules:
                if Action.PULL in rule.actions:
                    needs.add(rule, None)
        elif not isinstance(target := find_target(principal, access), str):
            if not policies.asks_for_tag(target.action, access.name):
                continue
            for one in (target, *_hidden(target)):
                for rule in policies.candidates(one):
                    needs.add(rule, one)
    return needs.to_carried()


def _hidden(target: Target) -> Iterator[Target]:
    if target.action is Action.PUSH:
        yield from (target._replace(action=action) for action in HIDDEN_ACTIONS)


class _Needs:
    """The attributes of one caller that the added rules mention."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal
        self._keys = frozenset(subject_keys(principal))
        self._groups: set[str] = set()
        self._claims: set[str] = set()
        self._needs_source = False
        self._needs_robot = False

    def add(self, rule: Rule, target: Target | None) -> None:
        """Add a rule that may be evaluated for this target; None: for any repository."""
        keys = rule.subjects.any_of & self._keys
        if not keys or (target is not None and not rule.resources.include(target)):
            return  # the rule does not match the caller, and does not with fewer attributes either
        if all(key.kind in _CARRIED for key in keys):
            self._add_keys(keys)
        for glob in rule.resources.repositories:
            for placeholder in glob.placeholders:
                if placeholder.kind == "claims":
                    self._claims.add(placeholder.claim)
                elif placeholder.kind == "group" and target is None:
                    self._groups |= self._principal.groups
            if target is not None:
                self._groups.update(
                    value for placeholder, value in glob.fillers(target.repository) if placeholder.kind == "group"
                )
        if rule.condition is not None:
            names = rule.condition.names
            self._groups |= self._principal.groups if "identity.groups" in names else frozenset()
            self._claims.update(self._principal.claims if "identity.claims" in names else ())
            self._needs_source |= "identity.source" in names
            self._needs_robot |= "identity.robot" in names

    def _add_keys(self, keys: Iterable[SubjectKey]) -> None:
        for key in keys:
            match key.kind:
                case "group":
                    self._groups.add(key.name)
                case "claim":
                    self._claims.add(key.claim)
                case _:
                    self._needs_robot = True

    def to_carried(self) -> Carried:
        principal = self._principal
        claims = {name: value for name, value in principal.claims.items() if name in self._claims}
        return Carried(
            principal.groups & self._groups,
            MappingProxyType(claims),
            principal.source if self._needs_source else "",
            principal.is_robot and self._needs_robot,
        )
