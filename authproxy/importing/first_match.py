"""Translates an ordered first-match list into rules without an order.

Each entry that grants something becomes an allow rule, except where an earlier entry that grants less matches:

    1. {name: team/secret} []                →
    2. {name: team/*}      [pull]            → allow pull on team/*, when it is not team/secret
    3. {}                  [pull]            → allow pull on **, when it is not team/secret

An earlier entry that grants at least as much needs no exception: if both match, both rules allow what the list does. So
most lists become rules without conditions. Parts of an entry that cannot be expressed reduce access: the entry itself
grants nothing, and later entries grant nothing wherever the rest of it matches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from authproxy.importing.docker_auth.entry import Entry
from authproxy.importing.docker_auth.labels import Labels
from authproxy.importing.docker_auth.pattern import Inexpressible
from authproxy.importing.expressions import account_test, label_test, name_test, negated, network_test
from authproxy.importing.imported import is_nameable
from authproxy.importing.literal_index import Ends
from authproxy.importing.overlap import Rest, repositories_of, rest_of
from authproxy.importing.report import Kind, Remark
from authproxy.policy.condition import MAX_LENGTH
from authproxy.policy.model import Action

# Pairs of entries to compare in total: some ten seconds. Entries beyond the bound grant nothing.
MAX_COMPARED = 250_000


@dataclass(frozen=True, slots=True)
class TranslatedEntry:
    """The translation of one entry."""

    entry: Entry
    to: dict[str, Any]
    repositories: tuple[str, ...]
    when: tuple[str, ...]
    reductions: tuple[str, ...] = ()  # why it allows less than before, if it does

    @property
    def allow(self) -> tuple[Action, ...]:
        """The actions in their usual order."""
        return tuple(action for action in Action if action in self.entry.allowed)


@dataclass(frozen=True, slots=True)
class List:
    """The entries for one type of resource, and what is known of the callers."""

    entries: Sequence[Entry]
    labels: Labels
    has_anonymous: bool  # anonymous callers are evaluated at all
    is_catalog: bool = False
    _names: Ends = field(init=False, repr=False, compare=False)
    _accounts: Ends = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # A narrow name may match more than is known.
        names = [None if entry.is_narrow else entry.name for entry in self.entries]
        object.__setattr__(self, "_names", Ends(names))
        object.__setattr__(self, "_accounts", Ends([entry.account for entry in self.entries]))

    def translate(self) -> Iterator[TranslatedEntry | Remark]:
        """The rules in the order of the list, and findings about untranslatable or odd entries."""
        compared = 0
        for i, entry in enumerate(self.entries):
            if not entry.allowed:
                continue
            if entry.inexpressible:
                yield Remark(
                    entry.line, Kind.LEFT, f"allows nothing here, since it depends on {'; '.join(entry.inexpressible)}"
                )
                continue
            if self._matches_nothing(entry):
                yield Remark(entry.line, Kind.NOTHING, self._why_nothing(entry))
                continue
            earlier = self._related(i)
            compared += len(earlier)
            if compared > MAX_COMPARED:
                yield Remark(
                    entry.line,
                    Kind.LEFT,
                    f"allows nothing here: the list is too long to compare, after {MAX_COMPARED} pairs of entries"
                    " that may match the same; divide the file, or begin its patterns with literal text",
                )
                continue
            try:
                translated = self._translate(entry, earlier)
                yield translated
                yield from (Remark(entry.line, Kind.LEFT, sentence) for sentence in translated.reductions)
            except Inexpressible as exc:
                yield Remark(entry.line, Kind.LEFT, f"allows nothing here: {exc}")
            except Unreachable as exc:
                yield Remark(entry.line, Kind.NOTHING if exc.is_certain else Kind.LEFT, str(exc))

    def _related(self, number: int) -> list[Entry]:
        """The earlier entries that could match first, judged by the ends of their patterns."""
        entry = self.entries[number]
        by_name = self._names.related(None if entry.is_narrow else entry.name)
        by_account = self._accounts.related(entry.account)
        fewest = by_name if len(by_name) <= len(by_account) else by_account
        return [self.entries[i] for i in fewest if i < number]

    def _matches_nothing(self, entry: Entry) -> bool:
        return self._has_no_account(entry) or (not self.is_catalog and repositories_of(entry.name).globs == ())

    def _why_nothing(self, entry: Entry) -> str:
        if self._has_no_account(entry) and entry.account is not None:
            return f'account: "{entry.account.text}" matches no possible caller'
        text = entry.name.text if entry.name is not None else ""
        return f"name: {text} matches no repository: names have small letters, digits, and one . _ or - between them"

    def _has_no_account(self, entry: Entry) -> bool:
        names = entry.account.literals if entry.account else None
        return names is not None and not any(name or self.has_anonymous for name in names)

    def _translate(self, entry: Entry, earlier: Sequence[Entry]) -> TranslatedEntry:
        to, conditions = self._subjects(entry)
        repositories: tuple[str, ...] = ()
        if not self.is_catalog:
            globs = repositories_of(entry.name).globs
            if globs is None:
                assert entry.name is not None
                conditions.append(name_test(entry.name))
            repositories = tuple(str(glob) for glob in globs) if globs is not None else ("**",)
        if entry.network is not None:
            conditions.append(network_test(entry.network))
        tests = dict.fromkeys(conditions)  # in order, without duplicates
        length, reductions = len(" && ".join(tests)), []
        for test, why in self._exceptions(entry, earlier):
            length += 0 if test in tests else len(f" && {test}")
            if length > MAX_LENGTH:
                raise Inexpressible(
                    f"excluding earlier entries from it would take a condition of more than {MAX_LENGTH} characters;"
                    " give it fewer repositories, or put it before them"
                )
            tests[test] = None
            reductions += [why] if why else []
        return TranslatedEntry(entry, to, repositories, tuple(tests), tuple(reductions))

    def _subjects(self, entry: Entry) -> tuple[dict[str, Any], list[str]]:
        account, everybody = entry.account, "everyone" if self.has_anonymous else "signed-in"
        tests = [label_test(label, pattern, self.labels) for label, pattern in entry.labels.items()]
        if account is not None and account.literals is not None and all(map(is_nameable, account.literals - {""})):
            to: dict[str, Any] = {"users": sorted(account.literals - {""})} if account.literals - {""} else {}
            return to | ({"anonymous": True} if "" in account.literals and self.has_anonymous else {}), tests
        is_about_all = account is None or account.is_everything or account.is_nonempty
        groups = self._groups(entry)
        if is_about_all and groups:
            return {"groups": groups}, tests[1:]
        if account is None or account.is_everything:
            return {everybody: True}, tests
        if account.is_nonempty:
            return {"signed-in": True}, tests
        return {everybody if account.matches("") else "signed-in": True}, [account_test(account), *tests]

    def _groups(self, entry: Entry) -> list[str]:
        """The groups of the first label if it is not a pattern."""
        for label, pattern in entry.labels.items():
            groups = [self.labels.group(label, value) for value in pattern.literals or ()]
            return sorted(groups) if all(map(is_nameable, groups)) else []
        return []

    def _exceptions(self, entry: Entry, earlier: Sequence[Entry]) -> Iterator[tuple[str, str]]:
        """A test for each earlier entry that removes access, and why it removes more than before, if it does."""
        for other in earlier:
            if entry.allowed <= other.allowed:
                continue
            rest = rest_of(other, within=entry, has_anonymous=self.has_anonymous)
            if rest is None:
                continue
            test, why = self._test(rest, other)
            if not test:
                raise Unreachable(f"allows nothing here: {why}" if why else _no_effect(other), is_certain=not why)
            yield test, f"allows less here: {why}" if why else ""

    def _test(self, rest: Rest, other: Entry) -> tuple[str, str]:
        """A test that an earlier entry does not match ("": it always does), and its inexpressible parts."""
        tests: list[str] = []
        inexpressible = list(other.inexpressible)
        if rest.account is not None:
            tests.append(account_test(rest.account))
        if rest.name is not None:
            try:
                tests.append(name_test(rest.name))
            except Inexpressible as exc:
                inexpressible.append(str(exc))
        if other.is_narrow and other.name is not None:
            inexpressible.append(f'"{other.name.text}" with values of a label from other sources')
        tests += [label_test(label, pattern, self.labels) for label, pattern in rest.labels]
        if rest.network is not None:
            tests.append(network_test(rest.network))
        reasons = "; ".join(inexpressible)
        return negated(tests), f"the entry of line {other.line} could match first, by {reasons}" if reasons else ""


class Unreachable(Exception):
    """An unreachable entry: an earlier one always matches first, as far as is known."""

    def __init__(self, sentence: str, *, is_certain: bool) -> None:
        super().__init__(sentence)
        self.is_certain = is_certain


def _no_effect(earlier: Entry) -> str:
    return f"has no effect: the entry of line {earlier.line} matches first wherever this one does, and grants less"
