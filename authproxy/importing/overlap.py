"""Overlap of two entries of an ordered list: which parts of the earlier one need a test where the later one matches.

Sound, not complete: what is not certain is tested.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property, lru_cache

from authproxy.importing.docker_auth.entry import Entry
from authproxy.importing.docker_auth.pattern import Pattern
from authproxy.importing.shapes import Wild, literal_of, to_glob
from authproxy.policy.glob import Glob
from authproxy.policy.glob_containment import covers, is_matchable, may_meet
from authproxy.reference import is_repository


class Coverage(Enum):
    """Whether an earlier entry matches where a later one does: always, sometimes or never."""

    NEVER = auto()
    SOMETIMES = auto()
    ALWAYS = auto()


@dataclass(frozen=True)
class Repositories:
    """A pattern over repository names (None: all), as far as globs can express it."""

    pattern: Pattern | None

    @cached_property
    def globs(self) -> tuple[Glob, ...] | None:
        """Equivalent globs; empty if nothing matches, None if globs cannot express the pattern."""
        if self.pattern is None:
            return (Glob.parse("**"),)
        if self.pattern.shapes is None:
            return None
        globs: list[Glob] = []
        for shape in self.pattern.shapes:
            text = literal_of(shape)
            if text is not None and not is_repository(text):
                continue
            glob = to_glob(shape)
            if glob is None:
                return None
            parsed = Glob.parse(glob)
            if is_matchable(parsed):
                globs.append(parsed)
        return tuple(globs)

    @property
    def names(self) -> frozenset[str] | None:
        """All matching names if they are finitely many."""
        if self.pattern is None or self.pattern.literals is None:
            return None
        return frozenset(filter(is_repository, self.pattern.literals))


@lru_cache(maxsize=16_384)
def repositories_of(pattern: Pattern | None) -> Repositories:
    """Cached by pattern, so that its globs are computed once."""
    return Repositories(pattern)


def accounts(later: Pattern | None, earlier: Pattern | None, *, has_anonymous: bool) -> Coverage:
    """Whether the earlier account matches where the later one does."""
    if earlier is None or earlier.is_everything or earlier == later:
        return Coverage.ALWAYS
    if later is not None and later.literals is not None:
        return _coverage(earlier.matches(name) for name in later.literals if name or has_anonymous)
    if earlier.is_nonempty and (not has_anonymous or (later is not None and not later.matches(""))):
        return Coverage.ALWAYS
    if earlier.literals is not None:
        within = [
            name for name in earlier.literals if (name or has_anonymous) and (later is None or later.matches(name))
        ]
        return Coverage.SOMETIMES if within else Coverage.NEVER
    return Coverage.SOMETIMES


def names(later: Pattern | None, earlier: Pattern | None) -> Coverage:
    """Whether the earlier name matches where the later one does, for the same caller."""
    if earlier is None or earlier == later:
        return Coverage.ALWAYS
    wide, narrow = repositories_of(earlier), repositories_of(later)
    if narrow.names is not None and not earlier.has_placeholder:
        return _coverage(map(earlier.matches, narrow.names))
    if wide.names is not None and later is not None and not later.has_placeholder:
        return Coverage.SOMETIMES if any(map(later.matches, wide.names)) else Coverage.NEVER
    return _by_globs(wide, narrow)


def _by_globs(wide: Repositories, narrow: Repositories) -> Coverage:
    if wide.globs is None or narrow.globs is None:
        return Coverage.SOMETIMES
    if all(any(covers(outer, inner) for outer in wide.globs) for inner in narrow.globs):
        return Coverage.ALWAYS
    if not any(may_meet(outer, inner) for outer in wide.globs for inner in narrow.globs):
        return Coverage.NEVER
    return Coverage.SOMETIMES


@dataclass(frozen=True, slots=True)
class Rest:
    """The parts of an earlier entry to test where a later one matches. None of them: it always matches there."""

    account: Pattern | None = None
    name: Pattern | None = None
    labels: tuple[tuple[str, Pattern], ...] = ()
    network: str | None = None


def rest_of(earlier: Entry, *, within: Entry, has_anonymous: bool) -> Rest | None:
    """The parts of an earlier entry to test within a later one; None if they never both match."""
    of_account = accounts(within.account, earlier.account, has_anonymous=has_anonymous)
    before, after = earlier.name, within.name
    only = _only_account(within)
    if only is not None:
        before, after = (pattern and pattern.placed(Wild.USER, only) for pattern in (before, after))
    of_name = names(after, before)
    if of_account is Coverage.NEVER or (of_name is Coverage.NEVER and not earlier.is_narrow):
        return None
    return Rest(
        earlier.account if of_account is Coverage.SOMETIMES else None,
        # A name that may match more than is known counts as matching everything.
        before if of_name is Coverage.SOMETIMES and not earlier.is_narrow else None,
        tuple((label, pattern) for label, pattern in earlier.labels.items() if within.labels.get(label) != pattern),
        None if earlier.network == within.network else earlier.network,
    )


def _only_account(entry: Entry) -> str | None:
    if entry.account is None or entry.account.literals is None or len(entry.account.literals) != 1:
        return None
    return next(iter(entry.account.literals))


def _coverage(answers: Iterator[bool]) -> Coverage:
    found = set(answers)
    if found == {True}:
        return Coverage.ALWAYS
    return Coverage.SOMETIMES if True in found else Coverage.NEVER
