"""Cases for imported rules: for each rule a caller and a repository that it is about, as the old list decides them.

The old list is read entry by entry here, not through the rules that came of it: so the cases say something of these.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from authproxy.config.document.regex import compile_pattern
from authproxy.importing.docker_auth.entry import Entry, World
from authproxy.importing.docker_auth.labels import Labels
from authproxy.importing.docker_auth.pattern import Pattern
from authproxy.importing.imported import is_nameable
from authproxy.importing.literal_index import Ends
from authproxy.importing.overlap import is_repository
from authproxy.importing.shapes import LocalPart, Token, Wild, join, literal_of
from authproxy.policy.glob import placeable_name

_ANYBODY = "somebody"


class Caller(NamedTuple):
    """Who asks, in a case."""

    name: str
    groups: tuple[str, ...] = ()

    def to_who(self) -> dict[str, Any]:
        """As `who:` in a policy file."""
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
    """Cases as `tests:` has them, for each entry for which a caller and a repository are found.

    `rules` has the names of the rules that entries became, `callers` are the users that are known.
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


# Callers and repositories that are tried for an entry beside those of its own: a case is worth a moment, not a minute.
_MAX_GENERAL = 8
# Entries that are asked whether they match, for all cases together: a few seconds.
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
        if "/" in caller.name:  # of these the rules know nothing: nobody is called so here
            continue
        if all(map(is_nameable, caller.groups)) and (is_nameable(caller.name) if caller.name else not caller.groups):
            for repository in dict.fromkeys([*_samples(entry.name, caller.name), *general]):
                yield caller, repository


_SAMPLE = {Wild.CHARACTER: "x", Wild.STAR: "app", Wild.PLUS: "app", Wild.ANY: "app", Wild.SOME: "app"}


def _samples(pattern: Pattern | None, user: str) -> Iterator[str]:
    """Names of repositories that a pattern could match; not all of them need to."""
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
    """The list as it is: its first entry that matches."""

    def __init__(self, entries: Sequence[Entry], labels: Labels) -> None:
        self._entries = entries
        self._labels = labels
        self._names = Ends([None if entry.is_narrow else entry.name for entry in entries])
        self._accounts = Ends([entry.account for entry in entries])
        self._left = MAX_TRIED

    def first(self, caller: Caller, repository: str) -> Entry | None:
        """The entry that decides; None where none does, where it cannot be told which, or where too much was tried."""
        for i in sorted(self._names.matching(repository) & self._accounts.matching(caller.name)):
            entry = self._entries[i]
            self._left -= 1
            if self._left < 0:
                return None
            if self._matches(entry, caller, repository):
                return None if entry.unsayable or entry.is_narrow or entry.network else entry
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
        # A value with a slash has an entry of its own.
        groups = (group for group in caller.groups if placeable_name(group) is not None)
        return any(placed.placed(Wild.GROUP, group).matches(repository) for group in groups)
