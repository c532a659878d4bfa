"""Useless rules: rules that never match, that other rules make redundant, or that match no caller.

Rules are compared atom by atom (`rule_atoms.py`): a rule is redundant if other rules cover each of its atoms.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from authproxy.policy.cases import Case
from authproxy.policy.glob_containment import glob_for, is_matchable
from authproxy.policy.model import Action, Effect, PolicySet, Rule
from authproxy.policy.rule_atoms import Atom, atom_covers, atoms


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule or case that its author cannot have meant."""

    file: str
    line: int
    subject: str  # the rule or case as messages name it
    sentence: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.sentence}"


def check(
    policies: PolicySet,
    cases: Iterable[Case] = (),
    *,
    groups: Collection[str] | None = None,
    robots: Collection[str] | None = None,
) -> tuple[Finding, ...]:
    """All findings, by place. `groups` and `robots` are all that exist; None if that is unknown."""
    rules = sorted(policies.rules, key=lambda rule: (rule.file, rule.line))
    found = [*_never_matching(rules), *_redundant(rules), *_unknown_rules(rules, cases)]
    if groups is not None:
        found += _unknown(rules, "group", groups, 'the users files have no user in the group "{}"')
    if robots is not None:
        found += _unknown(rules, "robot", robots, 'there is no robot "{}" in the users files')
    return tuple(sorted(found, key=lambda finding: (finding.file, finding.line)))


def _never_matching(rules: Iterable[Rule]) -> Iterator[Finding]:
    for rule in rules:
        for glob in rule.resources.repositories:
            if not is_matchable(glob):
                yield _about(rule, f"no repository name can match {glob}; change it or remove it")
            elif all(glob_for(glob, key) is None for key in rule.subjects.any_of):
                yield _about(rule, f"no caller that it is about has a name that fits into {glob}: it matches nothing")


def _redundant(rules: list[Rule]) -> Iterator[Finding]:
    denies = _Kept(rule for rule in rules if rule.effect is Effect.DENY)
    allows = _Kept(rule for rule in rules if rule.effect is Effect.ALLOW)
    # From the last to the first: of two equal rules the first is kept.
    for rule in reversed(rules):
        own = tuple(atoms(rule))
        if not own:
            continue
        if rule.effect is Effect.ALLOW and (shadowing := denies.covering(own, but=rule)):
            yield _about(rule, f"it never allows anything: {_names(shadowing)} {_verb(shadowing, 'deny')} all of it")
            allows.drop(rule)
            continue
        alike = denies if rule.effect is Effect.DENY else allows
        if shadowing := alike.covering(own, but=rule):
            verb = _verb(shadowing, "deny" if rule.effect is Effect.DENY else "allow")
            yield _about(rule, f"it changes nothing: {_names(shadowing)} {verb} all of it")
            alike.drop(rule)


class _Kept:
    """The atoms of rules that are not redundant, indexed by action and first path segment."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._index: defaultdict[tuple[Action, str | None], list[tuple[Atom, Rule]]] = defaultdict(list)
        for rule in rules:
            for atom in atoms(rule):
                self._index[atom.action, atom.head].append((atom, rule))

    def covering(self, own: Iterable[Atom], *, but: Rule) -> tuple[Rule, ...]:
        """Rules that together cover all these atoms, by place; empty if they do not."""
        found: dict[str, Rule] = {}
        for atom in own:
            heads = {None, atom.head}
            candidates = (entry for head in heads for entry in self._index.get((atom.action, head), ()))
            covering = (rule for other, rule in candidates if rule is not but and atom_covers(other, atom))
            rule = next((rule for rule in covering if _is_as_short(rule, but)), None)
            if rule is None:
                return ()
            found[rule.place] = rule
        return tuple(sorted(found.values(), key=lambda rule: (rule.file, rule.line)))

    def drop(self, rule: Rule) -> None:
        for atom in atoms(rule):
            self._index[atom.action, atom.head].remove((atom, rule))


def _is_as_short(rule: Rule, other: Rule) -> bool:
    """Whether tokens of a rule expire no later than those of another, or the rule grants none."""
    if other.lifetime_s is None or rule.effect is Effect.DENY:
        return True
    return rule.lifetime_s is not None and rule.lifetime_s <= other.lifetime_s


def _unknown(rules: Iterable[Rule], kind: str, known: Collection[str], sentence: str) -> Iterator[Finding]:
    for rule in rules:
        named = {key.name for key in rule.subjects.any_of if key.kind == kind}
        for name in sorted(named.difference(known)):
            yield _about(rule, sentence.format(name))


def _unknown_rules(rules: Iterable[Rule], cases: Iterable[Case]) -> Iterator[Finding]:
    names = {rule.name for rule in rules}
    for case in cases:
        if case.rule is not None and case.rule not in names:
            yield Finding(case.file, case.line, f"{case.place}: {case}", f'there is no rule "{case.rule}"')


def _about(rule: Rule, sentence: str) -> Finding:
    return Finding(rule.file, rule.line, str(rule), sentence)


def _names(rules: tuple[Rule, ...]) -> str:
    return " and ".join(map(str, rules))


def _verb(rules: tuple[Rule, ...], verb: str) -> str:
    if len(rules) > 1:
        return f"together {verb}"
    return {"deny": "denies", "allow": "allows"}[verb]
