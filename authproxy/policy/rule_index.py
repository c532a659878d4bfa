"""An index of rules, so that a decision tries few of many.

By action, by the first or last path segment of the repositories, and by subject. The index may return too many rules
and never too few: the rules themselves decide whether they match.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from authproxy.policy.claims import claim_values
from authproxy.policy.glob import Glob
from authproxy.principal import Principal

if TYPE_CHECKING:
    from authproxy.policy.model import Action, Rule, SubjectKey


class RuleBucket(NamedTuple):
    """The first or the last path segment of all names that a glob matches; neither if both vary."""

    first: str
    last: str


ANYWHERE = RuleBucket("", "")


def find_bucket(glob: Glob) -> RuleBucket:
    """The bucket of a glob."""
    if glob.literal_head is not None:
        return RuleBucket(glob.literal_head, "")
    return ANYWHERE if glob.literal_tail is None else RuleBucket("", glob.literal_tail)


def buckets_of(first: str, last: str) -> tuple[RuleBucket, RuleBucket, RuleBucket]:
    """The buckets of all globs that could match a repository with these first and last path segments."""
    return (ANYWHERE, RuleBucket(first, ""), RuleBucket("", last))


@dataclass(slots=True)
class RuleIndex:
    """Rules by the attributes of a caller."""

    everyone: list["Rule"] = field(default_factory=list)
    anonymous: list["Rule"] = field(default_factory=list)
    signed_in: list["Rule"] = field(default_factory=list)
    any_robot: list["Rule"] = field(default_factory=list)
    users: dict[str, list["Rule"]] = field(default_factory=dict)
    robots: dict[str, list["Rule"]] = field(default_factory=dict)
    groups: dict[str, list["Rule"]] = field(default_factory=dict)
    claims: dict[str, dict[str, list["Rule"]]] = field(default_factory=dict)

    def add(self, key: "SubjectKey", rule: "Rule") -> None:
        """Add a rule under one of its subjects."""
        match key.kind:
            case "user":
                self.users.setdefault(key.name, []).append(rule)
            case "robot":
                self.robots.setdefault(key.name, []).append(rule)
            case "group":
                self.groups.setdefault(key.name, []).append(rule)
            case "claim":
                self.claims.setdefault(key.claim, {}).setdefault(key.name, []).append(rule)
            case kind:
                flags = {
                    "everyone": self.everyone,
                    "anonymous": self.anonymous,
                    "signed-in": self.signed_in,
                    "any-robot": self.any_robot,
                }
                flags[kind].append(rule)

    def about(self, caller: Principal) -> Iterator["Rule"]:
        """The rules about a caller; one that matches by several subjects occurs several times."""
        yield from self.everyone
        if caller.is_anonymous:
            yield from self.anonymous
            return
        yield from self.signed_in
        yield from self.users.get(caller.name, ())
        if caller.is_robot:
            yield from self.any_robot
            yield from self.robots.get(caller.name, ())
        few, many = (
            (caller.groups, self.groups) if len(caller.groups) < len(self.groups) else (self.groups, caller.groups)
        )
        for group in few:
            if group in many:
                yield from self.groups[group]
        for claim, by_value in self.claims.items():
            for value in claim_values(caller, claim) & by_value.keys():
                yield from by_value[value]


def file_rules(rules: Iterable["Rule"]) -> dict[tuple["Action", RuleBucket], RuleIndex]:
    """Index rules, each in the buckets of all its globs."""
    indexes: dict[tuple[Action, RuleBucket], RuleIndex] = {}
    for rule in rules:
        for action in rule.actions:
            for bucket in rule.resources.buckets():
                index = indexes.setdefault((action, bucket), RuleIndex())
                for key in rule.subjects.any_of:
                    index.add(key, rule)
    return indexes
