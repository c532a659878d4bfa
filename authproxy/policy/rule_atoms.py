"""Rules taken apart: an atom is one action, for one kind of callers, on one glob. Tools compare rules by these."""

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
    """One action of a rule, for one kind of its callers, on one of its globs (None: on the catalog) and of its tags.

    A condition is opaque here: only its text is compared.
    """

    action: Action
    key: SubjectKey
    glob: Glob | None
    when: str = ""  # "" where there is no condition
    tag: TagGlob | None = None  # None: all tags
    untagged: bool = True  # whether it also means requests of which no tag is known: see Rule.is_about

    @property
    def head(self) -> str | None:
        """The first path segment of all that is meant; None where there are several, and for the catalog."""
        return self.glob.literal_head if self.glob else None

    def includes(self, target: Target) -> bool:
        """Whether what is asked for is meant, if the condition holds."""
        if self.action is not target.action or self.key not in subject_keys(target.caller):
            return False
        if not (self.untagged if target.tag is None else self.tag is None or self.tag.matches(target.tag)):
            return False
        return self.glob is None or self.glob.matches(target.repository, target.caller)

    def __str__(self) -> str:
        tag = "" if self.tag is None else f" with tag {self.tag}"
        return f"{self.key} on {self.glob or 'the registry'}{tag}{f' when {self.when}' if self.when else ''}"


def atoms(rule: Rule) -> Iterator[Atom]:
    """What a rule is about, one by one, without what can never match."""
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
    """Whether whatever is meant by `inner` is meant by `outer` too. Yes only where it is certain."""
    if outer.action is not inner.action or not key_covers(outer.key, inner.key):
        return False
    if outer.when not in ("", inner.when) or not _tags_cover(outer, inner):
        return False
    if outer.glob is None or inner.glob is None:
        return outer.glob is inner.glob
    # What holds for all who are signed in holds for one user with the name in its place.
    placed = glob_for(outer.glob, inner.key)
    return placed is not None and covers(placed, inner.glob)


def atoms_may_meet(one: Atom, other: Atom) -> bool:
    """Whether something could be meant by both. No only where it is certain."""
    if one.action is not other.action or not keys_may_meet(one.key, other.key):
        return False
    if not (one.untagged and other.untagged) and not _tags_may_meet(one, other):
        return False
    return one.glob is None or other.glob is None or may_meet(one.glob, other.glob)


def in_order(several: Iterable[Atom]) -> tuple[Atom, ...]:
    """By action, caller and glob, none twice."""
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
