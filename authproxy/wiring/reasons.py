"""What the rules in force deny to a subject, and the reason that their authors give."""

from collections.abc import Sequence
from typing import Protocol

from authproxy.access import Access
from authproxy.client_view import ClientView
from authproxy.edge.authorize import Denial
from authproxy.policy.policies import Policies
from authproxy.principal import ANONYMOUS, Principal
from authproxy.wiring.facts import request_facts


class Finder(Protocol):
    """Knows users by name."""

    async def find(self, name: str) -> Principal | None:
        """The enabled user as of now, or None."""


class PolicyReasons:
    """Asks the rules in force again when a token lacks something: a token says what was granted, never why not more."""

    def __init__(self, users: Finder, policies: Policies) -> None:
        self._users = users
        self._policies = policies

    async def deny(self, subject: str, lacking: Sequence[Access], view: ClientView) -> Denial:
        """See `edge.authorize.Reasons`. The reason is the description of the first rule that denies and has one.

        It is about what a rule says, never about what the registry holds: no repository shows by it.
        """
        principal = await self._users.find(subject) if subject else ANONYMOUS
        if principal is None:
            return Denial(tuple(lacking))
        request = request_facts(view)
        decisions = [(access, self._policies.decide(principal, access, request)) for access in lacking]
        denying = [(access, decision.rule) for access, decision in decisions if not decision.allowed]
        reasons = (rule.description for _, rule in denying if rule is not None and rule.description)
        return Denial(tuple(access for access, _ in denying), next(reasons, None))
