"""What a policy says: rules as frozen values, and the set of them that is in force.

    PolicySet ── Rule ── actions     what: pull, push, delete, catalog
                      ├─ subjects    to whom: users, groups, claims, anonymous, signed-in, everyone
                      ├─ resources   on what: globs over repository names
                      └─ condition   when: an expression over the caller, the resource and the time

Everything here has been validated by `load.py`; nothing here reads a file.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from authproxy.config.scalars import format_duration
from authproxy.policy.claims import claim_values
from authproxy.policy.condition import Condition
from authproxy.policy.glob import Glob
from authproxy.principal import Principal


class Action(StrEnum):
    """What can be allowed or denied."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    CATALOG = "catalog"


# What `*` stands for, in a rule as in a scope: all that can be done with one repository. Listing the names of all of
# them is no such thing, so a rule about `team/**` never opens or closes the catalog by the way.
REPOSITORY_ACTIONS = (Action.PULL, Action.PUSH, Action.DELETE)


class Effect(StrEnum):
    """What a rule does where it matches. A deny always wins."""

    ALLOW = "allow"
    DENY = "deny"


class Target(NamedTuple):
    """What is asked for, parsed: one action, on one repository or on the registry."""

    action: Action
    repository: tuple[str, ...]  # path segments of a valid name; () for the catalog
    caller: Principal  # who asks: what placeholders stand for


class SubjectKey(NamedTuple):
    """One reason for a rule to be about a caller: their name, a group that they are in, a claim that they have."""

    kind: str
    name: str = ""  # of a claim its value
    claim: str = ""  # the claim's name

    def __str__(self) -> str:
        if self.claim:
            return f"{self.kind} {self.claim}={self.name}"
        return f"{self.kind} {self.name}" if self.name else self.kind


ANONYMOUS = SubjectKey("anonymous")
SIGNED_IN = SubjectKey("signed-in")
EVERYONE = SubjectKey("everyone")


def subject_keys(principal: Principal) -> tuple[SubjectKey, ...]:
    """All that a caller is."""
    if principal.is_anonymous:
        return (EVERYONE, ANONYMOUS)
    groups = (SubjectKey("group", name) for name in principal.groups)
    claims = (
        SubjectKey("claim", value, claim) for claim in principal.claims for value in claim_values(principal, claim)
    )
    return (EVERYONE, SIGNED_IN, SubjectKey("user", principal.name), *groups, *claims)


@dataclass(frozen=True, slots=True)
class Subjects:
    """Whom a rule is about: everybody who is any of these."""

    any_of: frozenset[SubjectKey]

    def include(self, principal: Principal) -> bool:
        """Whether a caller is meant. Anonymous callers have neither name nor groups."""
        return not self.any_of.isdisjoint(subject_keys(principal))

    def __str__(self) -> str:
        return ", ".join(str(key) for key in sorted(self.any_of))


@dataclass(frozen=True, slots=True)
class Resources:
    """What a rule is about: repositories whose name matches any of the globs. The catalog needs none."""

    repositories: tuple[Glob, ...] = ()

    def include(self, target: Target) -> bool:
        """Whether the target's repository is meant."""
        return not target.repository or any(
            glob.matches(target.repository, target.caller) for glob in self.repositories
        )

    def heads(self) -> frozenset[str | None]:
        """The first path segments of all that is meant; None stands for any."""
        return frozenset(glob.literal_head for glob in self.repositories) or frozenset([None])

    def __str__(self) -> str:
        return ", ".join(glob.text for glob in self.repositories) or "the registry"


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of a policy file."""

    name: str
    description: str
    effect: Effect
    actions: frozenset[Action]
    subjects: Subjects
    resources: Resources
    file: str
    line: int  # counted from 1, where the entry begins
    lifetime_s: int | None = None  # of an allow: tokens for what it allows are good for no longer
    condition: Condition | None = None  # asked where all else matches

    @property
    def place(self) -> str:
        """`policies/default.yaml:12`."""
        return f"{self.file}:{self.line}"

    @property
    def summary(self) -> str:
        """What the rule says, in one line: `allow pull, push to signed-in on {user}/**`."""
        actions = ", ".join(action for action in Action if action in self.actions)
        lifetime = "" if self.lifetime_s is None else f", for {format_duration(timedelta(seconds=self.lifetime_s))}"
        condition = "" if self.condition is None else f", when {self.condition}"
        return f"{self.effect} {actions} to {self.subjects} on {self.resources}{lifetime}{condition}"

    def __str__(self) -> str:
        return f'{self.place} "{self.name}"'


@dataclass(frozen=True, slots=True)
class PolicySet:
    """All rules in force together. Their order says nothing.

    Filed by subject and by the first path segment that a rule is about, so that a decision tries few of many.
    """

    rules: tuple[Rule, ...] = ()
    _filed: Mapping[tuple[SubjectKey, str | None], tuple[Rule, ...]] = field(init=False, repr=False, compare=False)

    has_lifetimes: bool = field(init=False, repr=False, compare=False)  # whether any rule says one

    def __post_init__(self) -> None:
        object.__setattr__(self, "has_lifetimes", any(rule.lifetime_s is not None for rule in self.rules))
        object.__setattr__(self, "_filed", MappingProxyType(_file(self.rules)))

    def candidates(self, principal: Principal, target: Target) -> Iterator[Rule]:
        """Rules that are about this caller and could be about this target, some perhaps more than once."""
        heads = (None, *target.repository[:1])
        for key in subject_keys(principal):
            for head in heads:
                yield from self._filed.get((key, head), ())


def _file(rules: Iterable[Rule]) -> dict[tuple[SubjectKey, str | None], tuple[Rule, ...]]:
    filed: dict[tuple[SubjectKey, str | None], list[Rule]] = {}
    for rule in rules:
        for key in rule.subjects.any_of:
            for head in rule.resources.heads():
                filed.setdefault((key, head), []).append(rule)
    return {key: tuple(together) for key, together in filed.items()}
