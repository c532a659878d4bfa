"""Replaying past decisions with other rules, from all the inputs that the audit log recorded.

Nothing is guessed: a decision whose inputs were not all recorded is undecidable.
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

# How a condition refers to a request. A string that looks so counts too, which makes fewer decisions decidable.
_ABOUT_REQUEST = re.compile(r"\brequest\s*\.")


@dataclass(frozen=True, slots=True)
class Past:
    """One past decision."""

    at: float  # in seconds since 1970; conditions about the time are evaluated at this moment
    principal: Principal
    access: Access  # a single action; also `create` or `overwrite` of a denied request
    allowed: bool
    why: str  # the rule or reason that decided then, for display
    client: str = ""  # the client's address, for display
    request: RequestFacts | None = None  # the facts of the request; None if they were not recorded
    tag: str | None = None  # the tag concerned, if known


@dataclass(frozen=True, slots=True)
class ChangedDecision:
    """A decision that would be different now."""

    past: Past
    now: Decision

    @property
    def why(self) -> str:
        """The reason for the decision now, for display, with the description of a rule that denies."""
        rule = self.now.rule
        if rule is None:
            return f"denied: {self.now.reason}"
        message = f": {rule.description}" if rule.effect is Effect.DENY and rule.description else ""
        return f"{self.now.reason}{message}"


@dataclass(frozen=True, slots=True)
class Undecidable:
    """A decision that depends on an input that was not recorded."""

    past: Past
    rule: Rule  # a rule whose condition reads it

    @property
    def why(self) -> str:
        """The reason, for display."""
        return f"the condition of {self.rule} reads facts of the request, which the line does not contain"


class Replay:
    """Replays decisions with one set of rules."""

    def __init__(self, policies: PolicySet) -> None:
        self.policies = policies
        self._asking = {rule.place: rule for rule in policies.rules if _asks_about_request(rule)}
        # The decision lies between these two, whatever the result of those conditions.
        self._least = _assuming(policies, conditions_allow=False)
        self._most = _assuming(policies, conditions_allow=True)

    def __repr__(self) -> str:
        return f"Replay(rules={len(self.policies.rules)})"

    def ask(self, past: Past) -> ChangedDecision | Undecidable | None:
        """Decide again. None: the decision is the same, perhaps by another rule."""
        if past.request is not None or not self._asking:
            now = _decide(self.policies, past)
        else:
            now, most = _decide(self._least, past), _decide(self._most, past)
            if now.allowed is not most.allowed:
                deciding = (rule.place for rule in (*now.rules, *most.rules))
                return Undecidable(past, next(self._asking[place] for place in deciding if place in self._asking))
        return None if now.allowed is past.allowed else ChangedDecision(past, now)


def is_all(policies: PolicySet, access: Access) -> bool:
    """Whether the token alone decides about this access.

    It does not if a rule is about tags or about an action that `push` includes: that was decided later, per request.
    """
    if access.type != "repository" or access.action not in REPOSITORY_ACTIONS:
        return True
    return not policies.asks_for_tag(Action(access.action), access.name)


def _decide(policies: PolicySet, past: Past) -> Decision:
    return decide_in_full(policies, past.principal, past.access, tag=past.tag, now=past.at, request=past.request)


def _asks_about_request(rule: Rule) -> bool:
    return rule.condition is not None and _ABOUT_REQUEST.search(rule.condition.text) is not None


def _assuming(policies: PolicySet, *, conditions_allow: bool) -> PolicySet:
    """The rules with all conditions about the request resolved to open as much as possible, or as little."""
    if not any(map(_asks_about_request, policies.rules)):
        return policies
    rules = (
        replace(rule, condition=None) if _asks_about_request(rule) else rule
        for rule in policies.rules
        if not _asks_about_request(rule) or (rule.effect is Effect.ALLOW) is conditions_allow
    )
    return PolicySet(tuple(rules))


class _Kind(NamedTuple):
    """The key by which changes are counted: who, what, and the direction of the change."""

    name: str  # "" for anonymous callers
    source: str
    access: Access
    tag: str
    was_allowed: bool


@dataclass(slots=True)
class Group:
    """Equal changes, with the first and the last of them in order of input."""

    first: ChangedDecision
    last: ChangedDecision
    count: int = 1


class Tally:
    """Changes counted by who and what."""

    def __init__(self) -> None:
        self.count = 0
        self._groups: dict[_Kind, Group] = {}

    def __repr__(self) -> str:
        return f"Tally(count={self.count}, groups={len(self._groups)})"

    def add(self, change: ChangedDecision) -> None:
        """Count a change."""
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
        """The groups, the most frequent first."""
        ordered = sorted(self._groups.items(), key=lambda item: (-item[1].count, item[0]))
        return [group for _, group in ordered]
