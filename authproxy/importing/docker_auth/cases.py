"""Test cases for imported rules: for each rule a matching caller and repository, decided by the old list.

The old list is evaluated entry by entry, independently of the translated rules, so that the cases verify these.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from authproxy.config.document.regex import compile_pattern
from authproxy.importing.docker_auth.entry import Entry, World
from authproxy.importing.docker_auth.labels import Labels
from authproxy.importing.docker_auth.pattern import Pattern
from authproxy.importing.imported import is_nameable
from authproxy.importing.literal_index import Ends
from authproxy.importing.shapes import LocalPart, Token, Wild, join, literal_of
from authproxy.policy.glob import placeable_name
from authproxy.reference import is_repository

_ANYBODY = "somebody"


class Caller(NamedTuple):
    """The caller of a case."""

    name: str
    groups: tuple[str, ...] = ()

    def to_who(self) -> dict[str, Any]:
        """The `who:` of a policy file."""
        if not self.name:
            return {"anonymous": True}
        return {"user": self.name} | ({"groups": list(self.groups)} if self.groups else {})


def make_cases(
    world: World,
    entries: Sequence[Entry],
    rules: Iterable[tuple[Entry, str]],
    callers: Iterable[Caller],
    labels: Labels,
    *,
    has_anonymous: bool,
) -> Iterator[dict[str, Any]]:
    """Cases for `tests:`, one for each entry with a known caller and repository.

    `rules` maps entries to the names of their rules; `callers` are the known users.
    """
    names = {id(entry): name for entry, name in rules}
    judge = _Judge(entries, labels)
    known = [Caller(_ANYBODY), *callers][:_MAX_GENERAL]
    if has_anonymous:
        known.append(Caller(""))
    general = list(dict.fromkeys(name for entry in entries for name in _samples(entry.name, _ANYBODY)))[:_MAX_GENERAL]
    for entry in entries:
        for caller, repository in _questions(entry, labels, known, general):
            if (caller.name or has_anonymous) and judge.first(caller, repository) is entry:
                yield from _cases(world, entry, names.get(id(entry)), caller, repository)
                break


# Other callers and repositories to try for an entry: a bound on the time for one case.
_MAX_GENERAL = 8
# Entries to evaluate for all cases together: a few seconds.
MAX_TRIED = 200_000


def _cases(world: World, entry: Entry, rule: str | None, caller: Caller, repository: str) -> Iterator[dict[str, Any]]:
    who = caller.to_who()
    allowed = [action for action in world.actions if action in entry.allowed]
    denied = [action for action in world.actions if action not in entry.allowed]
    why = f"The first entry that matches is in line {entry.line}."
    if allowed and rule is not None:
        yield {"who": who, "what": world.scope(repository, allowed), "expected": "allow", "rule": rule, "why": why}
    if denied:
        yield {"who": who, "what": world.scope(repository, denied), "expected": "deny", "why": why}


def _questions(
    entry: Entry, labels: Labels, known: Sequence[Caller], general: Sequence[str]
) -> Iterator[tuple[Caller, str]]:
    groups = tuple(
        labels.group(label, min(pattern.literals)) for label, pattern in entry.labels.items() if pattern.literals
    )
    own = [Caller(name, groups) for name in sorted(entry.account.literals or ())] if entry.account else []
    shapes = (entry.name.shapes or ()) if entry.name else ()
    own += [
        Caller(f"{_ANYBODY}@{token.domain}", groups)
        for shape in shapes
        for token in shape
        if isinstance(token, LocalPart)
    ]
    for caller in [*own, Caller(_ANYBODY, groups), *known]:
        if "/" in caller.name:  # no rule mentions these names
            continue
        if all(map(is_nameable, caller.groups)) and (is_nameable(caller.name) if caller.name else not caller.groups):
            for repository in dict.fromkeys([*_samples(entry.name, caller.name), *general]):
                yield caller, repository


_SAMPLE = {Wild.CHARACTER: "x", Wild.STAR: "app", Wild.PLUS: "app", Wild.ANY: "app", Wild.SOME: "app"}


def _samples(pattern: Pattern | None, user: str) -> Iterator[str]:
    """Repository names that a pattern might match."""
    if pattern is None:
        yield "team/app"
    for shape in (pattern.shapes or ()) if pattern else ():
        text = literal_of(join(_sample(token, user) for token in shape))
        if text is not None and is_repository(text):
            yield text


def _sample(token: Token, user: str) -> Token:
    if token is Wild.USER:
        return user
    if isinstance(token, LocalPart):
        return token.of(user) or token
    return _SAMPLE.get(token, token) if isinstance(token, Wild) else token


class _Judge:
    """Evaluates the old list: the first match decides."""

    def __init__(self, entries: Sequence[Entry], labels: Labels) -> None:
        self._entries = entries
        self._labels = labels
        self._names = Ends([None if entry.is_narrow else entry.name for entry in entries])
        self._accounts = Ends([entry.account for entry in entries])
        self._left = MAX_TRIED

    def first(self, caller: Caller, repository: str) -> Entry | None:
        """The deciding entry; None if no entry matches, the match is unknown, or the bound is reached."""
        for i in sorted(self._names.matching(repository) & self._accounts.matching(caller.name)):
            entry = self._entries[i]
            self._left -= 1
            if self._left < 0:
                return None
            if self._matches(entry, caller, repository):
                return None if entry.inexpressible or entry.is_narrow or entry.network else entry
        return None

    def _matches(self, entry: Entry, caller: Caller, repository: str) -> bool:
        return (
            (entry.account is None or entry.account.matches(caller.name))
            and (entry.name is None or self._name_matches(entry.name, caller, repository))
            and all(
                any(map(compile_pattern(self._labels.group_regex(label, pattern)).search, caller.groups))
                for label, pattern in entry.labels.items()
            )
        )

    def _name_matches(self, name: Pattern, caller: Caller, repository: str) -> bool:
        placed = name.placed(Wild.USER, caller.name)
        if not placed.has_placeholder:
            return placed.matches(repository)
        # A value with a slash has its own entry.
        groups = (group for group in caller.groups if placeable_name(group) is not None)
        return any(placed.placed(Wild.GROUP, group).matches(repository) for group in groups)
