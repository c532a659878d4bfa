"""The policies as the token server and passwords ask them: once for each wish, from where it comes included."""

from collections.abc import Iterable

from authproxy.access import CATALOG, Access
from authproxy.audit.event import Verdict
from authproxy.bounded_cache import Bounded
from authproxy.client_view import ClientView
from authproxy.errors import NameInvalid
from authproxy.policy.decide import Decision
from authproxy.policy.policies import Policies
from authproxy.principal import Principal
from authproxy.reference import parse_repository
from authproxy.token.grant import Judgement, within
from authproxy.wiring.facts import request_facts

# What is remembered, in bytes; and what an entry takes, for itself and for each access.
MAX_BYTES = 16 * 1024 * 1024
ENTRY_BYTES = 1000

REPOSITORY_ACTIONS = frozenset({"pull", "push", "delete", "*"})


class PolicyJudge:
    """Judges by the rules in force.

    The same wish of the same caller is judged once, as long as the rules stay and none has a condition: those may turn
    on the time and on the request. A source hands out one value for a caller while its files stay as they are.
    """

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self._rules = policies.current  # by which `_judged` was judged
        # By the identity of the caller and the wish; with the caller, so that no other value takes that identity.
        self._judged: Bounded[tuple[int, tuple[Access, ...]], tuple[Principal, Judgement]] = Bounded(MAX_BYTES)

    def granted(self, principal: Principal, accesses: Iterable[Access], view: ClientView) -> frozenset[Access]:
        """See `edge.authorize.Policies`."""
        return self._policies.granted(principal, accesses, request_facts(view))

    def judge(self, principal: Principal, accesses: tuple[Access, ...], view: ClientView) -> Judgement:
        """See `token.grant.Judge`."""
        if self._policies.current is not self._rules:
            self._rules = self._policies.current
            self._judged = Bounded(MAX_BYTES)
        if self._rules.has_conditions:
            return self._judge(principal, accesses, view)
        question = id(principal), accesses
        if (known := self._judged.get(question)) is not None:
            return known[1]
        judgement = self._judge(principal, accesses, view)
        self._judged.put(question, (principal, judgement), ENTRY_BYTES * (1 + len(accesses)))
        return judgement

    def _judge(self, principal: Principal, accesses: tuple[Access, ...], view: ClientView) -> Judgement:
        decided = self._policies.decided(principal, accesses, request_facts(view))
        allowed = [(access, decision) for access, decision in decided if decision.allowed]
        granted = within(accesses, frozenset([access for access, _ in allowed]))
        lifetimes = [decision.lifetime_s for _, decision in allowed if decision.lifetime_s is not None]
        return Judgement(
            granted,
            self._policies.carried(principal, granted).to_principal(principal.name),
            min(lifetimes, default=None),
            tuple([_verdict(access, decision) for access, decision in decided]),
        )


class EveryUserEverything:
    """The policies of a registry that has none: who has a password may do everything, as in CNCF Distribution."""

    def granted(self, principal: Principal, accesses: Iterable[Access], view: ClientView) -> frozenset[Access]:
        """See `edge.authorize.Policies`."""
        del view
        if principal.is_anonymous:
            return frozenset()
        return frozenset(access for access in accesses if access == CATALOG or _is_about_a_repository(access))


def _verdict(access: Access, decision: Decision) -> Verdict:
    if decision.rule is None:
        return Verdict(access, decision.allowed, reason=decision.reason)
    return Verdict(access, decision.allowed, rule=str(decision.rule))


def _is_about_a_repository(access: Access) -> bool:
    try:
        parse_repository(access.name)
    except NameInvalid:
        return False
    return access.type == "repository" and access.action in REPOSITORY_ACTIONS
