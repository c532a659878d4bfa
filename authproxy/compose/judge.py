"""The policies as the token server and passwords ask them: once for each wish, from where it comes included."""

from collections.abc import Iterable

from authproxy.access import CATALOG, Access
from authproxy.audit.event import Verdict
from authproxy.errors import NameInvalid
from authproxy.origin import Origin
from authproxy.policy.decide import Decision
from authproxy.policy.live import Policies
from authproxy.principal import Principal
from authproxy.reference import parse_repository
from authproxy.token.grant import Judgement

REPOSITORY_ACTIONS = frozenset({"pull", "push", "delete", "*"})


class PolicyJudge:
    """Judges by the rules in force."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies

    def granted(self, principal: Principal, accesses: Iterable[Access], origin: Origin) -> frozenset[Access]:
        """See `edge.authorize.Policies`."""
        del origin
        return self._policies.granted(principal, accesses)

    def judge(self, principal: Principal, accesses: Iterable[Access], origin: Origin) -> Judgement:
        """See `token.grant.Judge`."""
        del origin
        decided = self._policies.decided(principal, accesses)
        allowed = [(access, decision) for access, decision in decided if decision.allowed]
        granted = frozenset([access for access, _ in allowed])
        lifetimes = [decision.lifetime_s for _, decision in allowed if decision.lifetime_s is not None]
        return Judgement(
            granted,
            self._policies.carried(principal, granted).to_principal(principal.name),
            min(lifetimes, default=None),
            tuple([_verdict(access, decision) for access, decision in decided]),
        )


class EveryUserEverything:
    """The policies of a registry that has none: who has a password may do everything, as in CNCF Distribution."""

    def granted(self, principal: Principal, accesses: Iterable[Access], origin: Origin) -> frozenset[Access]:
        """See `edge.authorize.Policies`."""
        del origin
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
