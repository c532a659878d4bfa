"""Rules split into atoms: one action, one subject key, one glob. Tools compare rules atom by atom."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from authproxy.policy.glob import Glob
from authproxy.policy.glob_containment import (
    covers,
    glob_for,
    is_matchable,
    key_covers,
    keys_may_meet,
    may_meet,
    text_covers,
    texts_may_meet,
)
from authproxy.policy.model import Action, Effect, Rule, SubjectKey, Target, subject_keys
from authproxy.policy.tags import TagGlob


class Atom(NamedTuple):
    """One action, subject key and glob of a rule (None: the catalog), with one of its tag globs.

    Conditions are opaque: only their texts are compared.
    """

    action: Action
    key: SubjectKey
    glob: Glob | None
    when: str = ""  # "" without a condition
    tag: TagGlob | None = None  # None: all tags
    untagged: bool = True  # whether it also matches requests without a known tag: see Rule.is_about

    @property
    def head(self) -> str | None:
        """The first path segment of every match; None if it varies, and for the catalog."""
        return self.glob.literal_head if self.glob else None

    def includes(self, target: Target) -> bool:
        """Whether the atom matches the target if its condition is true."""
        if self.action is not target.action or self.key not in subject_keys(target.caller):
            return False
        if not (self.untagged if target.tag is None else self.tag is None or self.tag.matches(target.tag)):
            return False
        return self.glob is None or self.glob.matches(target.repository, target.caller)

    def __str__(self) -> str:
        tag = "" if self.tag is None else f" with tag {self.tag}"
        return f"{self.key} on {self.glob or 'the registry'}{tag}{f' when {self.when}' if self.when else ''}"


def atoms(rule: Rule) -> Iterator[Atom]:
    """The atoms of a rule, without those that can never match."""
    when = "" if rule.condition is None else rule.condition.text
    tags = rule.resources.tags or (None,)
    untagged = not rule.resources.tags or rule.effect is Effect.ALLOW
    for key in rule.subjects.any_of:
        for action in rule.actions:
            if action is Action.CATALOG:
                yield Atom(action, key, None, when)
                continue
            for glob in rule.resources.repositories:
                if is_matchable(glob) and (placed := glob_for(glob, key)) is not None:
                    yield from (Atom(action, key, placed, when, tag, untagged) for tag in tags)


def atom_covers(outer: Atom, inner: Atom) -> bool:
    """Whether `outer` matches everything that `inner` does. True only if it is certain."""
    if outer.action is not inner.action or not key_covers(outer.key, inner.key):
        return False
    if outer.when not in ("", inner.when) or not _tags_cover(outer, inner):
        return False
    if outer.glob is None or inner.glob is None:
        return outer.glob is inner.glob
    # What is true for all signed-in users is true for one user with the name filled in.
    placed = glob_for(outer.glob, inner.key)
    return placed is not None and covers(placed, inner.glob)


def atoms_may_meet(one: Atom, other: Atom) -> bool:
    """Whether something could match both. False only if it is certain."""
    if one.action is not other.action or not keys_may_meet(one.key, other.key):
        return False
    if not (one.untagged and other.untagged) and not _tags_may_meet(one, other):
        return False
    return one.glob is None or other.glob is None or may_meet(one.glob, other.glob)


def in_order(several: Iterable[Atom]) -> tuple[Atom, ...]:
    """Sorted by action, subject and glob, without duplicates."""
    order = list(Action)
    return tuple(
        sorted(
            set(several),
            key=lambda atom: (
                order.index(atom.action),
                atom.key,
                str(atom.glob or ""),
                str(atom.tag or ""),
                atom.when,
                atom.untagged,
            ),
        )
    )


def _tags_cover(outer: Atom, inner: Atom) -> bool:
    if inner.untagged and not outer.untagged:
        return False
    return outer.tag is None or (inner.tag is not None and text_covers(outer.tag.text, inner.tag.text))


def _tags_may_meet(one: Atom, other: Atom) -> bool:
    return one.tag is None or other.tag is None or texts_may_meet(one.tag.text, other.tag.text)
