"""What one caller may do by all rules together, in a few lines: the answer for a user who is new.

Globs have the caller's name, groups and claims filled in. A line that another one covers is left out. What a deny
forbids completely is left out too; a deny about a part of it is a line of its own.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from authproxy.policy.glob import Glob
from authproxy.policy.glob_containment import covers, may_meet
from authproxy.policy.model import Action, Effect, PolicySet, Rule
from authproxy.principal import Principal
from authproxy.reference import MAX_REPOSITORY_LENGTH, is_repository

# More would hide the useful ones.
MAX_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Capability:
    """Some actions on the repositories that a glob matches (None: the catalog)."""

    allowed: bool  # False: an exception from the others
    actions: tuple[Action, ...]
    repositories: Glob | None
    tags: tuple[str, ...] = ()  # none: all tags
    when: str = ""  # a condition; "" without one

    def __str__(self) -> str:
        actions, condition = ", ".join(self.actions), " ".join(self.when.split())
        place = "" if self.repositories is None else f" {self.repositories}"
        tags = f" with tags {', '.join(self.tags)}" if self.tags else ""
        return f"{'' if self.allowed else 'not '}{actions}{place}{tags}{f' when {condition}' if condition else ''}"

    def is_covered_by(self, other: "Capability") -> bool:
        """Whether the other one says all of this. True only if it is certain."""
        if self.allowed is not other.allowed or not set(self.actions) <= set(other.actions):
            return False
        if other.when not in ("", self.when) or other.tags not in ((), self.tags):
            return False
        return _covers_place(other, self)


def find_capabilities(policies: PolicySet, caller: Principal) -> tuple[Capability, ...]:
    """All that the rules allow this caller, in the order of the rules, and then the exceptions."""
    rules = [rule for rule in policies.rules if rule.subjects.include(caller)]
    denies = list(_merged(_of(rules, Effect.DENY, caller)))
    allows = [left for one in _merged(_of(rules, Effect.ALLOW, caller)) if (left := _without(one, denies)) is not None]
    exceptions = [one for one in denies if any(_may_meet(one, allowed) for allowed in allows)]
    return (*_uncovered(allows), *_uncovered(exceptions))


def render(capabilities: Iterable[Capability]) -> str:
    """`pull, push alice/**; pull public/**`; "nothing" without any. Of very many the first are shown."""
    lines = list(map(str, capabilities))
    more = [f"{len(lines) - MAX_SHOWN} more"] if len(lines) > MAX_SHOWN else []
    return "; ".join([*lines[:MAX_SHOWN], *more]) or "nothing"


def _of(rules: Iterable[Rule], effect: Effect, caller: Principal) -> Iterator[Capability]:
    for rule in (rule for rule in rules if rule.effect is effect):
        when = "" if rule.condition is None else rule.condition.text
        tags = tuple(map(str, rule.resources.tags))
        if Action.CATALOG in rule.actions:
            yield Capability(effect is Effect.ALLOW, (Action.CATALOG,), None, (), when)
            continue
        for glob in rule.resources.repositories:
            for placed in _filled_in(glob, caller):
                actions = tuple(action for action in Action if action in rule.actions)
                yield Capability(effect is Effect.ALLOW, actions, placed, tags, when)


def _filled_in(glob: Glob, caller: Principal) -> Iterator[Glob]:
    """The glob once for each combination of the caller's values."""
    texts = [glob.text]
    for placeholder in glob.placeholders:
        values = sorted(
            value
            for value in placeholder.values(caller)
            if is_repository(value) and (placeholder.is_path or "/" not in value)
        )
        # One at a time: every group of the caller may fill each `{group}`.
        texts = [text.replace(str(placeholder), value, 1) for text in texts for value in values]
    yield from (Glob.parse(text) for text in dict.fromkeys(texts) if len(text) <= MAX_REPOSITORY_LENGTH)


def _merged(several: Iterable[Capability]) -> Iterator[Capability]:
    """Those that differ only in their actions, as one."""
    together: dict[tuple[object, ...], list[Capability]] = {}
    for one in several:
        place = None if one.repositories is None else one.repositories.text
        together.setdefault((one.allowed, place, one.tags, one.when), []).append(one)
    for alike in together.values():
        actions = {action for one in alike for action in one.actions}
        first = alike[0]
        ordered = tuple(action for action in Action if action in actions)
        yield Capability(first.allowed, ordered, first.repositories, first.tags, first.when)


def _without(one: Capability, denies: Iterable[Capability]) -> Capability | None:
    """What is left after the denies without tags and conditions that cover it; None if that is nothing."""
    denied = {
        action
        for deny in denies
        if not deny.tags and not deny.when and _covers_place(deny, one)
        for action in deny.actions
    }
    actions = tuple(action for action in one.actions if action not in denied)
    return Capability(one.allowed, actions, one.repositories, one.tags, one.when) if actions else None


def _are_apart(one: Capability, other: Capability) -> bool:
    """Whether their repositories certainly differ. Cheap: of thousands of rules, most pairs are."""
    left, right = _head_of(one), _head_of(other)
    return left is not None and right is not None and left != right


def _covers_place(outer: Capability, inner: Capability) -> bool:
    if _are_apart(outer, inner):
        return False
    if outer.repositories is None or inner.repositories is None:
        return outer.repositories is inner.repositories
    return covers(outer.repositories, inner.repositories)


def _may_meet(deny: Capability, allowed: Capability) -> bool:
    if _are_apart(deny, allowed):
        return False
    if deny.repositories is None or allowed.repositories is None:
        return deny.repositories is allowed.repositories
    # `push` includes creating a repository and moving a tag.
    meant = {*allowed.actions, *((Action.CREATE, Action.OVERWRITE) if Action.PUSH in allowed.actions else ())}
    return not meant.isdisjoint(deny.actions) and may_meet(deny.repositories, allowed.repositories)


def _uncovered(several: list[Capability]) -> Iterator[Capability]:
    by_head: dict[str | None, list[int]] = {}
    for i, one in enumerate(several):
        by_head.setdefault(_head_of(one), []).append(i)
    for i, one in enumerate(several):
        # A glob that begins with a certain segment is covered by one that does too, or that begins with any.
        near = {*by_head.get(_head_of(one), ()), *by_head.get(None, ())} - {i}
        covering = (j for j in near if one.is_covered_by(several[j]))
        # Of two that cover each other the first stays.
        if not any(j < i or not several[j].is_covered_by(one) for j in covering):
            yield one


def _head_of(one: Capability) -> str | None:
    return None if one.repositories is None else one.repositories.literal_head
