"""Policies: rules as frozen values, and the set of all current rules.

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
from authproxy.policy.rule_index import ANYWHERE, RuleBucket, RuleIndex, buckets_of, file_rules, find_bucket
from authproxy.policy.tags import TagGlob
from authproxy.principal import Principal


class Action(StrEnum):
    """An action that rules allow or deny."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    CATALOG = "catalog"
    CREATE = "create"  # the first write to a repository that does not exist
    OVERWRITE = "overwrite"  # moving an existing tag to another manifest


# The actions that `*` means, in rules and scopes: everything that can be done with one repository. Listing all names is
# not among them, so a rule about `team/**` never opens or closes the catalog.
REPOSITORY_ACTIONS = (Action.PULL, Action.PUSH, Action.DELETE)

# Actions that `push` includes: allowed with push unless a rule denies them. Scopes cannot request them.
HIDDEN_ACTIONS = (Action.CREATE, Action.OVERWRITE)


class Effect(StrEnum):
    """The effect of a matching rule. A deny always wins."""

    ALLOW = "allow"
    DENY = "deny"


class Target(NamedTuple):
    """A parsed request for one action, on one repository or on the registry."""

    action: Action
    repository: tuple[str, ...]  # path segments of a valid name; () for the catalog
    caller: Principal  # the caller, who gives placeholders their values
    tag: str | None = None  # None: unknown, as when a token is issued, or no tag, as for a blob


class SubjectKey(NamedTuple):
    """One attribute by which a rule matches a caller: name, group or claim.

    A robot is a user too: a rule for the user `ci` matches that account; one for the robot `ci` only if it is a robot.
    """

    kind: str
    name: str = ""  # or a claim's value
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
    """All attributes of a caller by which rules can match."""
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
    """The subjects of a rule: a caller with any of these attributes matches."""

    any_of: frozenset[SubjectKey]

    def include(self, principal: Principal) -> bool:
        """Whether a caller matches. Anonymous callers have neither name nor groups."""
        return not self.any_of.isdisjoint(subject_keys(principal))

    def __str__(self) -> str:
        return ", ".join(str(key) for key in sorted(self.any_of))


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources of a rule: repositories whose name matches any of the globs. The catalog needs none.

    Tag globs restrict the rule to matching tags; without any, the rule is about all tags.
    """

    repositories: tuple[Glob, ...] = ()
    tags: tuple[TagGlob, ...] = ()

    def include(self, target: Target) -> bool:
        """Whether the target's repository matches."""
        return not target.repository or any(
            glob.matches(target.repository, target.caller) for glob in self.repositories
        )

    def buckets(self) -> frozenset[RuleBucket]:
        """A literal text for each glob by which it can be filed."""
        return frozenset(map(find_bucket, self.repositories)) or frozenset([ANYWHERE])

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
    line: int  # where the entry begins, from 1
    lifetime_s: int | None = None  # of an allow: the longest lifetime of its tokens
    condition: Condition | None = None  # evaluated last

    def is_about(self, target: Target) -> bool:
        """Whether the target is among the rule's resources.

        If the tag is unknown, a rule about certain tags allows (some of them are allowed) and denies nothing.
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
        """The rule in one line: `allow pull, push to signed-in on {user}/**`."""
        actions = ", ".join(action for action in Action if action in self.actions)
        lifetime = "" if self.lifetime_s is None else f", for {format_duration(timedelta(seconds=self.lifetime_s))}"
        condition = "" if self.condition is None else f", when {self.condition}"
        return f"{self.effect} {actions} to {self.subjects} on {self.resources}{lifetime}{condition}"

    def __str__(self) -> str:
        return f'{self.place} "{self.name}"'


@dataclass(frozen=True, slots=True)
class PolicySet:
    """All current rules. Their order has no effect.

    Indexed by action, by the first or last path segment of a rule, and by subject, so that a decision tries few rules,
    however many groups the caller has.
    """

    rules: tuple[Rule, ...] = ()
    _indexes: Mapping[tuple[Action, RuleBucket], RuleIndex] = field(init=False, repr=False, compare=False)
    _served: Mapping[Action, frozenset[RuleBucket]] = field(init=False, repr=False, compare=False)
    has_conditions: bool = field(init=False, repr=False, compare=False)  # whether any rule has one

    def __post_init__(self) -> None:
        object.__setattr__(self, "has_conditions", any(rule.condition is not None for rule in self.rules))
        object.__setattr__(self, "_indexes", MappingProxyType(file_rules(self.rules)))
        object.__setattr__(self, "_served", MappingProxyType(_find_served(self.rules)))

    @property
    def is_decided_where_served(self) -> bool:
        """Whether any rule is about tags or about an action that `push` includes: tokens cannot express these."""
        return bool(self._served)

    def asks_for_tag(self, action: Action, repository: str) -> bool:
        """Whether such a rule could match this action there; for `push`, also one about an action it includes.

        Cheap enough for every request. If False, the token decides alone.
        """
        if (buckets := self._served.get(action)) is None:
            return False
        first, last = repository.partition("/")[0], repository.rpartition("/")[2]
        return not buckets.isdisjoint(buckets_of(first, last))

    def candidates(self, target: Target) -> Iterator[Rule]:
        """Rules about this action and caller that could match this repository, perhaps repeatedly."""
        action, repository = target.action, target.repository
        for bucket in buckets_of(repository[0], repository[-1]) if repository else (ANYWHERE,):
            if (index := self._indexes.get((action, bucket))) is not None:
                yield from index.about(target.caller)


def _find_served(rules: Iterable[Rule]) -> dict[Action, frozenset[RuleBucket]]:
    """By action, the rules that can only be decided when a request is served."""
    found: dict[Action, set[RuleBucket]] = {}
    for rule in rules:
        hidden = rule.actions.intersection(HIDDEN_ACTIONS)
        actions = rule.actions if rule.resources.tags else hidden
        for action in {*actions, Action.PUSH} if hidden else actions:
            found.setdefault(action, set()).update(rule.resources.buckets())
    return {action: frozenset(buckets) for action, buckets in found.items()}
