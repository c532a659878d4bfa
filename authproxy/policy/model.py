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


class Corner(NamedTuple):
    """The first or the last path segment of all that a glob matches; neither where names with different ones do."""

    first: str
    last: str


ANYWHERE = Corner("", "")


def _corner(glob: Glob) -> Corner:
    if glob.literal_head is not None:
        return Corner(glob.literal_head, "")
    return ANYWHERE if glob.literal_tail is None else Corner("", glob.literal_tail)


@dataclass(frozen=True, slots=True)
class Resources:
    """What a rule is about: repositories whose name matches any of the globs. The catalog needs none."""

    repositories: tuple[Glob, ...] = ()

    def include(self, target: Target) -> bool:
        """Whether the target's repository is meant."""
        return not target.repository or any(
            glob.matches(target.repository, target.caller) for glob in self.repositories
        )

    def corners(self) -> frozenset[Corner]:
        """A literal text for each glob by which it can be filed."""
        return frozenset(map(_corner, self.repositories)) or frozenset([ANYWHERE])

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


@dataclass(slots=True)
class _Shelf:
    """Rules by what they are about of a caller."""

    everyone: list[Rule] = field(default_factory=list)
    anonymous: list[Rule] = field(default_factory=list)
    signed_in: list[Rule] = field(default_factory=list)
    users: dict[str, list[Rule]] = field(default_factory=dict)
    groups: dict[str, list[Rule]] = field(default_factory=dict)
    claims: dict[str, dict[str, list[Rule]]] = field(default_factory=dict)

    def add(self, key: SubjectKey, rule: Rule) -> None:
        match key.kind:
            case "user":
                self.users.setdefault(key.name, []).append(rule)
            case "group":
                self.groups.setdefault(key.name, []).append(rule)
            case "claim":
                self.claims.setdefault(key.claim, {}).setdefault(key.name, []).append(rule)
            case _:
                {EVERYONE: self.everyone, ANONYMOUS: self.anonymous, SIGNED_IN: self.signed_in}[key].append(rule)

    def about(self, caller: Principal) -> Iterator[Rule]:
        yield from self.everyone
        if caller.is_anonymous:
            yield from self.anonymous
            return
        yield from self.signed_in
        yield from self.users.get(caller.name, ())
        few, many = (
            (caller.groups, self.groups) if len(caller.groups) < len(self.groups) else (self.groups, caller.groups)
        )
        for group in few:
            if group in many:
                yield from self.groups[group]
        for claim, by_value in self.claims.items():
            for value in claim_values(caller, claim) & by_value.keys():
                yield from by_value[value]


@dataclass(frozen=True, slots=True)
class PolicySet:
    """All rules in force together. Their order says nothing.

    Filed by action, by the first or last path segment that a rule is about, and by subject, so that a decision tries
    few of many, however many groups its caller is in.
    """

    rules: tuple[Rule, ...] = ()
    _filed: Mapping[tuple[Action, Corner], _Shelf] = field(init=False, repr=False, compare=False)
    has_lifetimes: bool = field(init=False, repr=False, compare=False)  # whether any rule says one

    def __post_init__(self) -> None:
        object.__setattr__(self, "has_lifetimes", any(rule.lifetime_s is not None for rule in self.rules))
        object.__setattr__(self, "_filed", MappingProxyType(_file(self.rules)))

    def candidates(self, target: Target) -> Iterator[Rule]:
        """Rules about this action and caller that could be about this repository, some perhaps more than once."""
        action, repository = target.action, target.repository
        corners = (ANYWHERE, Corner(repository[0], ""), Corner("", repository[-1])) if repository else (ANYWHERE,)
        for corner in corners:
            if (shelf := self._filed.get((action, corner))) is not None:
                yield from shelf.about(target.caller)


def _file(rules: Iterable[Rule]) -> dict[tuple[Action, Corner], _Shelf]:
    filed: dict[tuple[Action, Corner], _Shelf] = {}
    for rule in rules:
        for action in rule.actions:
            for corner in rule.resources.corners():
                shelf = filed.setdefault((action, corner), _Shelf())
                for key in rule.subjects.any_of:
                    shelf.add(key, rule)
    return filed
