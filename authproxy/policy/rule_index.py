"""Rules filed by what they are about, so that a decision tries few of many.

By action, by the first or last path segment of the repositories, and by subject. What is found this way may be too
much, never too little: the rules themselves say whether they match.
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
    """The first or the last path segment of all that a glob matches; neither where names with different ones do."""

    first: str
    last: str


ANYWHERE = RuleBucket("", "")


def find_bucket(glob: Glob) -> RuleBucket:
    """Where all that a glob matches is filed."""
    if glob.literal_head is not None:
        return RuleBucket(glob.literal_head, "")
    return ANYWHERE if glob.literal_tail is None else RuleBucket("", glob.literal_tail)


def buckets_of(first: str, last: str) -> tuple[RuleBucket, RuleBucket, RuleBucket]:
    """Where everything is filed that could be about a repository with these first and last path segments."""
    return (ANYWHERE, RuleBucket(first, ""), RuleBucket("", last))


@dataclass(slots=True)
class RuleIndex:
    """Rules by what they are about of a caller."""

    everyone: list["Rule"] = field(default_factory=list)
    anonymous: list["Rule"] = field(default_factory=list)
    signed_in: list["Rule"] = field(default_factory=list)
    any_robot: list["Rule"] = field(default_factory=list)
    users: dict[str, list["Rule"]] = field(default_factory=dict)
    robots: dict[str, list["Rule"]] = field(default_factory=dict)
    groups: dict[str, list["Rule"]] = field(default_factory=dict)
    claims: dict[str, dict[str, list["Rule"]]] = field(default_factory=dict)

    def add(self, key: "SubjectKey", rule: "Rule") -> None:
        """File a rule below one of its subjects."""
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
        """The rules about a caller, one that is so for several reasons several times."""
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
    """File rules, each wherever one of its globs belongs."""
    filed: dict[tuple[Action, RuleBucket], RuleIndex] = {}
    for rule in rules:
        for action in rule.actions:
            for bucket in rule.resources.buckets():
                index = filed.setdefault((action, bucket), RuleIndex())
                for key in rule.subjects.any_of:
                    index.add(key, rule)
    return filed
