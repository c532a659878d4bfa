"""What other rules would have decided: decisions that were made once, asked again with all that they were made from.

Where that is not all known, nothing is guessed: what cannot be told is said to be so.
"""

import re
from dataclasses import dataclass, replace
from typing import NamedTuple

from authproxy.access import Access
from authproxy.policy.decide import Decision
from authproxy.policy.model import REPOSITORY_ACTIONS, Action, Effect, PolicySet, Rule
from authproxy.policy.request import RequestFacts
from authproxy.policy.serve_time import decide_in_full
from authproxy.principal import Principal

# How a condition names what it may know of a request. In a text it only looks so, and then less can be told.
_ABOUT_REQUEST = re.compile(r"\brequest\s*\.")


@dataclass(frozen=True, slots=True)
class Past:
    """One decision as it was made."""

    at: float  # when, in seconds since 1970: conditions about the time are asked at this one
    principal: Principal
    access: Access  # a single action; `create` and `overwrite` too, where a request was denied
    allowed: bool
    why: str  # what decided then, for a reader
    client: str = ""  # the address that it came from, for a reader
    request: RequestFacts | None = None  # how it came; None where that was not kept
    tag: str | None = None  # the one that it was about, where that was known


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


@dataclass(frozen=True, slots=True)
class Untold:
    """A decision that turns on something that was not kept."""

    past: Past
    rule: Rule  # whose condition asks for it

    @property
    def why(self) -> str:
        """For a reader."""
        return f"the condition of {self.rule} asks how the request came, which the line does not say"


class Replay:
    """Asks one set of rules."""

    def __init__(self, policies: PolicySet) -> None:
        self.policies = policies
        self._asking = {rule.place: rule for rule in policies.rules if _asks_about_request(rule)}
        # What is decided lies between these two, whatever those conditions are.
        self._least = _assuming(policies, conditions_allow=False)
        self._most = _assuming(policies, conditions_allow=True)

    def __repr__(self) -> str:
        return f"Replay(rules={len(self.policies.rules)})"

    def ask(self, past: Past) -> Change | Untold | None:
        """Decide again. None: it would be allowed, or denied, as it was, be it by another rule."""
        if past.request is not None or not self._asking:
            now = _decide(self.policies, past)
        else:
            now, most = _decide(self._least, past), _decide(self._most, past)
            if now.allowed is not most.allowed:
                deciding = (rule.place for rule in (*now.rules, *most.rules))
                return Untold(past, next(self._asking[place] for place in deciding if place in self._asking))
        return None if now.allowed is past.allowed else Change(past, now)


def is_all(policies: PolicySet, access: Access) -> bool:
    """Whether what a token says of this access is all that these rules decide about it.

    It is not where a rule is about tags, or about what `push` hides: that was asked later, with the token.
    """
    if access.type != "repository" or access.action not in REPOSITORY_ACTIONS:
        return True
    return not policies.asks_for_tag(Action(access.action), access.name)


def _decide(policies: PolicySet, past: Past) -> Decision:
    return decide_in_full(policies, past.principal, past.access, tag=past.tag, now=past.at, request=past.request)


def _asks_about_request(rule: Rule) -> bool:
    return rule.condition is not None and _ABOUT_REQUEST.search(rule.condition.text) is not None


def _assuming(policies: PolicySet, *, conditions_allow: bool) -> PolicySet:
    """The rules if conditions about the request said all that opens something, or all that does not."""
    if not any(map(_asks_about_request, policies.rules)):
        return policies
    rules = (
        replace(rule, condition=None) if _asks_about_request(rule) else rule
        for rule in policies.rules
        if not _asks_about_request(rule) or (rule.effect is Effect.ALLOW) is conditions_allow
    )
    return PolicySet(tuple(rules))


class _Kind(NamedTuple):
    """Whose decisions are counted together, about what, and which way they change."""

    name: str  # "" for anonymous callers
    source: str
    access: Access
    tag: str
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
        kind = _Kind(past.principal.name, past.principal.source, past.access, past.tag or "", past.allowed)
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
