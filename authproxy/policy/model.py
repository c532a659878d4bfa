"""What a policy says: rules as frozen values, and the set of them that is in force.

    PolicySet ── Rule ── actions     what: pull, push, delete, catalog; denied alone: create, overwrite
                      ├─ subjects    to whom: users, robots, groups, claims, any-robot, anonymous, signed-in, everyone
                      ├─ resources   on what: globs over repository names, and over tags
                      └─ condition   when: an expression over the caller, the request, the resource and the time

Everything here has been validated by `load.py`; nothing here reads a file.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from authproxy.config.document.scalars import format_duration
from authproxy.policy.claims import claim_values
from authproxy.policy.condition import Condition
from authproxy.policy.glob import Glob
from authproxy.policy.rule_index import ANYWHERE, Corner, Shelf, corners_of, file_rules, find_corner
from authproxy.policy.tags import TagGlob
from authproxy.principal import Principal


class Action(StrEnum):
    """What can be allowed or denied."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    CATALOG = "catalog"
    CREATE = "create"  # the first write into a repository that is not there
    OVERWRITE = "overwrite"  # an existing tag gets another manifest


# What `*` stands for, in a rule as in a scope: all that can be done with one repository. Listing the names of all of
# them is no such thing, so a rule about `team/**` never opens or closes the catalog by the way.
REPOSITORY_ACTIONS = (Action.PULL, Action.PUSH, Action.DELETE)

# What `push` hides: whoever may push may do these too, unless a rule denies them. No scope can ask for them.
HIDDEN_ACTIONS = (Action.CREATE, Action.OVERWRITE)


class Effect(StrEnum):
    """What a rule does where it matches. A deny always wins."""

    ALLOW = "allow"
    DENY = "deny"


class Target(NamedTuple):
    """What is asked for, parsed: one action, on one repository or on the registry."""

    action: Action
    repository: tuple[str, ...]  # path segments of a valid name; () for the catalog
    caller: Principal  # who asks: what placeholders stand for
    tag: str | None = None  # None: not known, as when a token is issued, or none, as of a blob


class SubjectKey(NamedTuple):
    """One reason for a rule to be about a caller: their name, a group that they are in, a claim that they have.

    A robot is a user too: a rule about the user `ci` means that account, one about the robot `ci` only if it is one.
    """

    kind: str
    name: str = ""  # of a claim its value
    claim: str = ""  # the claim's name

    def __str__(self) -> str:
        if self.claim:
            return f"{self.kind} {self.claim}={self.name}"
        return f"{self.kind} {self.name}" if self.name else self.kind


ANONYMOUS = SubjectKey("anonymous")
ANY_ROBOT = SubjectKey("any-robot")
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
    robot = (ANY_ROBOT, SubjectKey("robot", principal.name)) if principal.is_robot else ()
    return (EVERYONE, SIGNED_IN, SubjectKey("user", principal.name), *robot, *groups, *claims)


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
    """What a rule is about: repositories whose name matches any of the globs. The catalog needs none.

    Of their tags those that match any of the others; all where there are none.
    """

    repositories: tuple[Glob, ...] = ()
    tags: tuple[TagGlob, ...] = ()

    def include(self, target: Target) -> bool:
        """Whether the target's repository is meant."""
        return not target.repository or any(
            glob.matches(target.repository, target.caller) for glob in self.repositories
        )

    def corners(self) -> frozenset[Corner]:
        """A literal text for each glob by which it can be filed."""
        return frozenset(map(find_corner, self.repositories)) or frozenset([ANYWHERE])

    def __str__(self) -> str:
        repositories = ", ".join(glob.text for glob in self.repositories) or "the registry"
        return f"{repositories} with tags {', '.join(map(str, self.tags))}" if self.tags else repositories


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

    def is_about(self, target: Target) -> bool:
        """Whether the target is among the rule's resources.

        Where no tag is known, a rule about some tags allows (part of what it allows is allowed), and denies nothing.
        """
        if not self.resources.include(target):
            return False
        if not self.resources.tags:
            return True
        if target.tag is None:
            return self.effect is Effect.ALLOW
        return any(glob.matches(target.tag) for glob in self.resources.tags)

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

    Filed by action, by the first or last path segment that a rule is about, and by subject, so that a decision tries
    few of many, however many groups its caller is in.
    """

    rules: tuple[Rule, ...] = ()
    _filed: Mapping[tuple[Action, Corner], Shelf] = field(init=False, repr=False, compare=False)
    _served: Mapping[Action, frozenset[Corner]] = field(init=False, repr=False, compare=False)
    has_conditions: bool = field(init=False, repr=False, compare=False)  # whether any rule has one

    def __post_init__(self) -> None:
        object.__setattr__(self, "has_conditions", any(rule.condition is not None for rule in self.rules))
        object.__setattr__(self, "_filed", MappingProxyType(file_rules(self.rules)))
        object.__setattr__(self, "_served", MappingProxyType(_find_served(self.rules)))

    @property
    def is_decided_where_served(self) -> bool:
        """Whether any rule is about tags, or about what `push` hides: no token can answer for these."""
        return bool(self._served)

    def asks_for_tag(self, action: Action, repository: str) -> bool:
        """Whether such a rule could be about this action there: of `push`, also one about what it hides.

        Cheap, for every request. Where it says no, what a token grants is all that there is to decide.
        """
        if (corners := self._served.get(action)) is None:
            return False
        first, last = repository.partition("/")[0], repository.rpartition("/")[2]
        return not corners.isdisjoint(corners_of(first, last))

    def candidates(self, target: Target) -> Iterator[Rule]:
        """Rules about this action and caller that could be about this repository, some perhaps more than once."""
        action, repository = target.action, target.repository
        for corner in corners_of(repository[0], repository[-1]) if repository else (ANYWHERE,):
            if (shelf := self._filed.get((action, corner))) is not None:
                yield from shelf.about(target.caller)


def _find_served(rules: Iterable[Rule]) -> dict[Action, frozenset[Corner]]:
    """By action, where the rules lie that can be decided only where a request is served."""
    found: dict[Action, set[Corner]] = {}
    for rule in rules:
        hidden = rule.actions.intersection(HIDDEN_ACTIONS)
        actions = rule.actions if rule.resources.tags else hidden
        for action in {*actions, Action.PUSH} if hidden else actions:
            found.setdefault(action, set()).update(rule.resources.corners())
    return {action: frozenset(corners) for action, corners in found.items()}
