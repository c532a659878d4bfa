"""Names that open to their bearers what rules keep for others: `{user}/**`, and a user called `public`.

A placeholder gives each name a space of its own. Where the name is a text of another rule's glob, that rule is about
the same space: a user of this name may do there what they may do at home. The same holds for groups, and for two users
for whom two placeholders stand with one value. Denies give nothing, so they are left out.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from authproxy.policy.glob import Glob, Placeholder, placeable_name
from authproxy.policy.glob_containment import NAMED, may_meet
from authproxy.policy.model import Action, Effect, PolicySet, Rule

# A name that no rule mentions: a rule that is about a repository for this one too is not about it because of a name.
_NOBODY = "x0--nobody--0x"


@dataclass(frozen=True, slots=True)
class Sharing:
    """A space that a rule gives to a name, and what else is about it."""

    rule: Rule
    space: str  # the glob with the name in its place
    kind: str  # user, group
    name: str
    other: str  # a rule, or a user or group

    def __str__(self) -> str:
        who = f"the user {self.name}" if self.kind == "user" else f"members of the group {self.name}"
        actions = ", ".join(action for action in Action if action in self.rule.actions)
        return f"{self.rule}: {who} may {actions} in {self.space}, and {self.other} is about repositories there too"


def find_shared_names(
    policies: PolicySet, *, users: Collection[str], groups: Collection[str], asked: Collection[str] | None = None
) -> Iterator[Sharing]:
    """Each space that is not its name's alone, one finding for a name and rule.

    `users` and `groups` are all that there are; `asked` those of both that are looked at, all by default.
    """
    allows = [rule for rule in policies.rules if rule.effect is Effect.ALLOW and rule.resources.repositories]
    for rule in allows:
        for glob in rule.resources.repositories:
            for kind, names in (("user", users), ("group", groups)):
                if not any(placeholder.kind == kind for placeholder in glob.placeholders):
                    continue
                for name in sorted(names if asked is None else set(names) & set(asked)):
                    space = _placed(glob, kind, name)
                    if space is None or not _may_be_about(rule, kind, name):
                        continue
                    other = _find_other(allows, rule, glob, space, kind, name, users, groups)
                    if other is not None:
                        yield Sharing(rule, str(space), kind, name, other)


def _find_other(
    allows: list[Rule],
    rule: Rule,
    glob: Glob,
    space: Glob,
    kind: str,
    name: str,
    users: Collection[str],
    groups: Collection[str],
) -> str | None:
    """The first that is about the space too, and would not be if the name were another."""
    placeholder = next(one for one in glob.placeholders if one.kind == kind)
    value = _value_of(placeholder, name)
    elsewhere = _placed(glob, kind, placeholder.name_of(_NOBODY) if kind == "user" else _NOBODY)
    for other in allows:
        for theirs in other.resources.repositories:
            if not theirs.placeholders:
                is_shared = other is not rule and not _is_about_users_alone(other)
                if is_shared and may_meet(space, theirs) and not (elsewhere and may_meet(elsewhere, theirs)):
                    return str(other)
                continue
            for one in theirs.placeholders:
                bearer = one.name_of(value) if one.kind == "user" else value
                known = users if one.kind == "user" else groups if one.kind == "group" else ()
                if (one.kind, bearer) == (kind, name) or bearer not in known:
                    continue
                placed = _placed(theirs, one.kind, bearer)
                if placed is not None and may_meet(space, placed):
                    return f"the {one.kind} {bearer} by {other}"
    return None


def _placed(glob: Glob, kind: str, name: str) -> Glob | None:
    if kind == "user":
        return glob.for_user(name)
    return None if placeable_name(name) is None else Glob.parse(glob.text.replace("{group}", name))


def _value_of(placeholder: Placeholder, name: str) -> str:
    return (placeholder.value_of(name) if placeholder.kind == "user" else name) or name


def _may_be_about(rule: Rule, kind: str, name: str) -> bool:
    """Whether somebody of this name could be among the rule's subjects."""
    named = [key for key in rule.subjects.any_of if key.kind in NAMED]
    if kind != "user" or len(named) < len(rule.subjects.any_of):
        return True
    return any(key.name == name for key in named)


def _is_about_users_alone(rule: Rule) -> bool:
    """Whether a rule opens what it is about to users by their names: the owner of a space may have asked for that."""
    return all(key.kind in NAMED for key in rule.subjects.any_of)
