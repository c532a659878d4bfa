"""Why somebody may not: what the policies' authors want those to read who are denied."""

from collections.abc import Sequence
from typing import Protocol

from authproxy.access import Access
from authproxy.compose.facts import request_facts
from authproxy.origin import Origin
from authproxy.policy.live import Policies
from authproxy.principal import ANONYMOUS, Principal


class Finder(Protocol):
    """Knows users by name."""

    async def find(self, name: str) -> Principal | None:
        """The enabled user as of now, or None."""


class PolicyReasons:
    """Asks the rules in force again when a token lacks something: a token says what was granted, never why not more."""

    def __init__(self, users: Finder, policies: Policies) -> None:
        self._users = users
        self._policies = policies

    async def why_not(self, subject: str, lacking: Sequence[Access], origin: Origin) -> str | None:
        """The description of the rule that denies; None where none does, or it has no description.

        It is about what a rule says, never about what the registry holds: no repository shows by it.
        """
        principal = await self._users.find(subject) if subject else ANONYMOUS
        if principal is None:
            return None
        request = request_facts(origin)
        decisions = (self._policies.decide(principal, access, request) for access in lacking)
        denying = (decision.rule for decision in decisions if not decision.allowed)
        return next((rule.description for rule in denying if rule is not None and rule.description), None)
