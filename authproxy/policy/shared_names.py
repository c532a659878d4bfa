"""User and group names that collide with other rules: `{user}/**`, and a user called `public`.

A placeholder gives each name its own namespace. If another rule's glob contains the name as literal text, both rules
are about the same namespace: a user of this name gets its rights there. The same is true of groups, and of two users
for whom two placeholders have the same value. Denies grant nothing, so they are left out.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from authproxy.policy.glob import Glob, Placeholder, placeable_name
from authproxy.policy.glob_containment import NAMED, may_meet
from authproxy.policy.model import Action, Effect, PolicySet, Rule

# A name that no rule mentions: a rule that matches for it too does not match because of a name.
_NOBODY = "x0--nobody--0x"


@dataclass(frozen=True, slots=True)
class Sharing:
    """A namespace that a rule gives to a name, and what else matches it."""

    rule: Rule
    space: str  # the glob with the name filled in
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
    """Each namespace that is shared, one finding per name and rule.

    `users` and `groups` are all that exist; `asked` are the names to examine, all by default.
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
    """The first rule that matches the namespace too, and only because of the name."""
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
    """Whether a caller of this name could match the rule's subjects."""
    named = [key for key in rule.subjects.any_of if key.kind in NAMED]
    if kind != "user" or len(named) < len(rule.subjects.any_of):
        return True
    return any(key.name == name for key in named)


def _is_about_users_alone(rule: Rule) -> bool:
    """Whether a rule is only for users by name: the owner of a namespace may have wanted that."""
    return all(key.kind in NAMED for key in rule.subjects.any_of)
