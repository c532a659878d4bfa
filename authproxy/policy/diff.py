"""Who gains and who loses what access between two sets of rules.

An access is allowed if an `allow` atom matches it and no `deny` atom does; the actions that `push` includes count as
allowed to everyone. Let W be the rules that allow an access and N the rules that do not. Then it matches either an
allow of W that N lacks, or an allow of both and a deny of N that W lacks. So the difference is a list of regions, each
of one or two atoms minus others. It is exact: an access is decided differently if and only if it lies in a region.
Regions that are certainly empty are left out.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from authproxy.policy.glob import Glob
from authproxy.policy.model import EVERYONE, HIDDEN_ACTIONS, Action, Effect, PolicySet, Target
from authproxy.policy.rule_atoms import Atom, atom_covers, atoms, atoms_may_meet, in_order


@dataclass(frozen=True, slots=True)
class Change:
    """A region where the decision changes: the intersection of `within`, minus the exceptions."""

    gains: bool
    within: tuple[Atom, ...]  # one or two
    denied: tuple[Atom, ...] = ()  # denies of the rules that allow the access
    allowed: tuple[Atom, ...] = ()  # allows of the other rules, which allow it too …
    but_denied: tuple[Atom, ...] = ()  # … unless one of their denies matches

    def includes(self, target: Target) -> bool:
        """Whether the decision about this target changes in this region."""
        if not all(atom.includes(target) for atom in self.within) or _any(self.denied, target):
            return False
        return not _any(self.allowed, target) or _any(self.but_denied, target)

    @property
    def action(self) -> Action:
        """The action gained or lost."""
        return self.within[0].action


def diff(old: PolicySet, new: PolicySet) -> tuple[Change, ...]:
    """All changes from the old rules to the new ones: gains, then losses."""
    before, after = _Atoms(old), _Atoms(new)
    return (*_allowed_only(after, before, gains=True), *_allowed_only(before, after, gains=False))


def render(changes: Iterable[Change]) -> list[str]:
    """The changes as lines for an operator; actions with the same region share a line."""
    together: defaultdict[tuple[str, ...], list[Action]] = defaultdict(list)
    for change in changes:
        together[_lines(change)].append(change.action)
    lines = []
    for (sign, who, *rest), actions in together.items():
        lines += [f"{sign} {', '.join(actions)}: {who}", *(f"    {line}" for line in rest)]
    return lines


_HIDDEN = frozenset(Atom(action, EVERYONE, Glob.parse("**")) for action in HIDDEN_ACTIONS)


class _Atoms:
    """The atoms of a set of rules."""

    def __init__(self, policies: PolicySet) -> None:
        allows, denies = (
            {atom for rule in policies.rules if rule.effect is effect for atom in atoms(rule)}
            for effect in (Effect.ALLOW, Effect.DENY)
        )
        self.allows = allows | _HIDDEN
        self.denies = denies


def _allowed_only(allowing: _Atoms, denying: _Atoms, *, gains: bool) -> list[Change]:
    """The regions that `allowing` allows and `denying` does not."""
    new_denies = denying.denies - allowing.denies
    changes = []
    for atom in in_order(allowing.allows - denying.allows):
        overruling = _meeting(new_denies, atom)
        same = _meeting(denying.allows, atom)
        if _covered(atom, allowing.denies) or (_covered(atom, same) and not overruling):
            continue
        changes.append(Change(gains, (atom,), _meeting(allowing.denies, atom), same, overruling if same else ()))
    for deny in in_order(new_denies):
        if _covered(deny, allowing.denies):
            continue
        for atom in _meeting(allowing.allows & denying.allows, deny):
            if not _covered(atom, allowing.denies):
                within = _narrower(atom, deny)
                denied = (taken for taken in _meeting(allowing.denies, deny) if atoms_may_meet(taken, atom))
                changes.append(Change(gains, within, tuple(denied)))
    return list(dict.fromkeys(changes))


def _narrower(atom: Atom, deny: Atom) -> tuple[Atom, ...]:
    """Both atoms, or only the narrower one if it lies within the other."""
    if atom_covers(deny, atom):
        return (atom,)
    return (deny,) if atom_covers(atom, deny) else (atom, deny)


def _covered(atom: Atom, by: Iterable[Atom]) -> bool:
    return any(atom_covers(other, atom) for other in by)


def _meeting(several: Iterable[Atom], atom: Atom) -> tuple[Atom, ...]:
    return in_order(other for other in several if atoms_may_meet(other, atom))


def _any(several: Iterable[Atom], target: Target) -> bool:
    return any(atom.includes(target) for atom in several)


def _lines(change: Change) -> tuple[str, ...]:
    lines = ["+" if change.gains else "-", " and also ".join(map(str, change.within))]
    lines += [f"not {atom}, which is denied" for atom in change.denied]
    lines += [f"not {atom}, which {'was' if change.gains else 'is still'} allowed" for atom in change.allowed]
    lines += [f"but also {atom}, which {'was' if change.gains else 'is now'} denied" for atom in change.but_denied]
    return tuple(lines)
