"""What other rules would have decided: decisions that were made once, asked again with all that they were made from."""

from dataclasses import dataclass
from typing import NamedTuple

from authproxy.access import Access
from authproxy.policy.decide import Decision, decide
from authproxy.policy.model import REPOSITORY_ACTIONS, Action, Effect, PolicySet
from authproxy.principal import Principal


@dataclass(frozen=True, slots=True)
class Past:
    """One decision as it was made."""

    at: float  # when, in seconds since 1970: conditions about the time are asked at this one
    principal: Principal
    access: Access  # a single action
    allowed: bool
    why: str  # what decided then, for a reader
    client: str = ""  # the address that it came from


@dataclass(frozen=True, slots=True)
class Change:
    """A decision that would be another one now."""

    past: Past
    now: Decision

    @property
    def why(self) -> str:
        """What decides now, for a reader, with what a rule that denies tells whom it refuses."""
        rule = self.now.rule
        if rule is None:
            return f"denied: {self.now.reason}"
        told = f": {rule.description}" if rule.effect is Effect.DENY and rule.description else ""
        return f"{self.now.reason}{told}"


def replay(policies: PolicySet, past: Past) -> Change | None:
    """Ask again. None: it would be allowed, or denied, as it was, be it by another rule."""
    now = decide(policies, past.principal, past.access, now=past.at)
    return None if now.allowed is past.allowed else Change(past, now)


def is_all(policies: PolicySet, access: Access) -> bool:
    """Whether what a token says of this access is all that these rules decide about it.

    It is not where a rule is about tags, or about what `push` hides: that was asked later, with the token.
    """
    if access.type != "repository" or access.action not in REPOSITORY_ACTIONS:
        return True
    return not policies.asks_for_tag(Action(access.action), access.name)


class _Kind(NamedTuple):
    """Whose decisions are counted together, about what, and which way they change."""

    name: str  # "" for anonymous callers
    source: str
    access: Access
    was_allowed: bool


@dataclass(slots=True)
class Group:
    """Changes that are alike, and the first and the last of them in the order in which they came."""

    first: Change
    last: Change
    count: int = 1


class Tally:
    """Changes, counted by who and what."""

    def __init__(self) -> None:
        self.count = 0
        self._groups: dict[_Kind, Group] = {}

    def __repr__(self) -> str:
        return f"Tally(count={self.count}, groups={len(self._groups)})"

    def add(self, change: Change) -> None:
        """Count one more."""
        self.count += 1
        past = change.past
        kind = _Kind(past.principal.name, past.principal.source, past.access, past.allowed)
        group = self._groups.get(kind)
        if group is None:
            self._groups[kind] = Group(change, change)
        else:
            group.last = change
            group.count += 1

    def by_count(self) -> list[Group]:
        """The groups, those that change most often first."""
        ordered = sorted(self._groups.items(), key=lambda item: (-item[1].count, item[0]))
        return [group for _, group in ordered]
