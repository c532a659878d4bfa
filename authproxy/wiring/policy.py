"""The rules in force, in the form that the other parts need.

PolicyEvaluator      for `/token` and passwords: which of the requested accesses a caller gets
EveryUserEverything  the same if the configuration has no policies
PolicyReasons        for the edge: why a token lacks an access
PolicyPermissions    for the edge and the backend: rules that are decided only when a request is served
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from authproxy.access import CATALOG, Access, Grant, pull
from authproxy.audit.event import Verdict
from authproxy.bounded_cache import Bounded
from authproxy.client_view import ClientView
from authproxy.edge.authorize import Denial
from authproxy.errors import Denied, NameInvalid
from authproxy.permissions import Permissions, RefusedByRule, Verb
from authproxy.policy.decide import Decision
from authproxy.policy.model import Action
from authproxy.policy.policies import Policies
from authproxy.policy.request import RequestFacts
from authproxy.principal import ANONYMOUS, Principal
from authproxy.reference import Repository, Tag, parse_repository
from authproxy.route import Kind, Route
from authproxy.token.grant import TokenDecision, within

# The size of the cache, in bytes; and of an entry, for itself and for each access.
MAX_BYTES = 16 * 1024 * 1024
ENTRY_BYTES = 1000

REPOSITORY_ACTIONS = frozenset({"pull", "push", "delete", "*"})

# The actions that a request of each kind may need in its repository, in addition to those of its route.
_ASKED: dict[tuple[Kind, str], tuple[Action, ...]] = {
    (Kind.MANIFEST, "GET"): (Action.PULL,),
    (Kind.MANIFEST, "HEAD"): (Action.PULL,),
    (Kind.MANIFEST, "PUT"): (Action.PUSH, Action.CREATE, Action.OVERWRITE),
    (Kind.MANIFEST, "DELETE"): (Action.DELETE,),
    (Kind.BLOB, "DELETE"): (Action.DELETE,),
    (Kind.TAGS, "GET"): (Action.PULL,),
    (Kind.TAGS, "HEAD"): (Action.PULL,),
    (Kind.MANIFESTS, "GET"): (Action.PULL,),
    (Kind.MANIFESTS, "HEAD"): (Action.PULL,),
    (Kind.UPLOADS, "POST"): (Action.CREATE,),
}

_TLS = {"https": True, "http": False}


class PolicyEvaluator:
    """Evaluates the rules in force for `/token` and for Basic authentication.

    Caches the decision for a caller and accesses until the rules change, unless a rule has a condition: conditions may
    depend on the time and the request. A source returns the same value for a caller until its files change.
    """

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self._rules = policies.current  # the rules of the decisions in `_decided`
        # By the id() of the caller and the accesses; with the caller, so that no other object gets that id().
        self._decided: Bounded[tuple[int, tuple[Access, ...]], tuple[Principal, TokenDecision]] = Bounded(MAX_BYTES)

    def granted(self, principal: Principal, accesses: Iterable[Access], view: ClientView) -> frozenset[Access]:
        """See `edge.authorize.AccessPolicies`."""
        return self._policies.granted(principal, accesses, request_facts(view))

    def decide(self, principal: Principal, accesses: tuple[Access, ...], view: ClientView) -> TokenDecision:
        """See `token.grant.TokenPolicies`."""
        if self._policies.current is not self._rules:
            self._rules = self._policies.current
            self._decided = Bounded(MAX_BYTES)
        if self._rules.has_conditions:
            return self._decide(principal, accesses, view)
        question = id(principal), accesses
        if (known := self._decided.get(question)) is not None:
            return known[1]
        decision = self._decide(principal, accesses, view)
        self._decided.put(question, (principal, decision), ENTRY_BYTES * (1 + len(accesses)))
        return decision

    def _decide(self, principal: Principal, accesses: tuple[Access, ...], view: ClientView) -> TokenDecision:
        decided = self._policies.decided(principal, accesses, request_facts(view))
        allowed = [(access, decision) for access, decision in decided if decision.allowed]
        granted = within(accesses, frozenset([access for access, _ in allowed]))
        lifetimes = [decision.lifetime_s for _, decision in allowed if decision.lifetime_s is not None]
        return TokenDecision(
            granted,
            self._policies.carried(principal, granted).to_principal(principal.name),
            min(lifetimes, default=None),
            tuple([_verdict(access, decision) for access, decision in decided]),
        )


class EveryUserEverything:
    """The policies of a registry without policies: every user may do everything, as in CNCF Distribution."""

    def granted(self, principal: Principal, accesses: Iterable[Access], view: ClientView) -> frozenset[Access]:
        """See `edge.authorize.AccessPolicies`."""
        del view
        if principal.is_anonymous:
            return frozenset()
        return frozenset(access for access in accesses if access == CATALOG or _is_about_a_repository(access))


class Finder(Protocol):
    """Finds users by name."""

    async def find(self, name: str) -> Principal | None:
        """The user, if enabled now, or None."""


class PolicyReasons:
    """Evaluates the rules again if a token lacks an access: a token says what was granted, not why no more was."""

    def __init__(self, users: Finder, policies: Policies) -> None:
        self._users = users
        self._policies = policies

    async def deny(self, subject: str, lacking: Sequence[Access], view: ClientView) -> Denial:
        """See `edge.authorize.Reasons`. The reason is the description of the first rule that denies and has one.

        It depends only on the rules, never on the content of the registry: it reveals no repository.
        """
        principal = await self._users.find(subject) if subject else ANONYMOUS
        if principal is None:
            return Denial(tuple(lacking))
        request = request_facts(view)
        decisions = [(access, self._policies.decide(principal, access, request)) for access in lacking]
        denying = [(access, decision.rule) for access, decision in decisions if not decision.allowed]
        reasons = (rule.description for _, rule in denying if rule is not None and rule.description)
        return Denial(tuple(access for access, _ in denying), next(reasons, None))


class PolicyPermissions:
    """Finds the permissions of a request's caller, by the rules in force."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies

    def __call__(self, route: Route, grant: Grant, view: ClientView) -> Permissions | None:
        """See `edge.tag_rules.FindPermissions`."""
        if route.kind is not Kind.CATALOG:
            if not self._policies.current.is_decided_where_served:
                return None
            actions = _ASKED.get((route.kind, route.method), ())
            if not any(self._policies.asks_for_tag(action, route.repository or "") for action in actions):
                return None
        return RulePermissions(self._policies, grant, route.repository, view)


class RulePermissions:
    """See `permissions.Permissions`."""

    def __init__(self, policies: Policies, grant: Grant, repository: Repository | None, view: ClientView) -> None:
        self._policies = policies
        self._grant = grant
        self._principal = grant.holder or Principal(grant.subject)
        self._repository = repository or ""
        self._request = request_facts(view)

    def concern(self, verb: Verb) -> bool:
        """See Permissions."""
        return self._policies.asks_for_tag(Action(verb), self._repository)

    def refusal(self, verb: Verb, tag: Tag | None = None) -> Denied | None:
        """See Permissions."""
        what = f"{self._repository}:{tag}" if tag is not None else self._repository
        message = f"{self._grant.subject or 'anonymous'} may not {verb} {what}"
        if self._grant.holder is None:
            return Denied(f"{message}: the token has no attributes of its holder, who has too many groups")
        decision = self._policies.decide_served(self._principal, Action(verb), self._repository, tag, self._request)
        if decision.allowed:
            return None
        rule = decision.rule
        denied = Denied(f"{message}: {rule.description}" if rule is not None and rule.description else message)
        access = Access("repository", self._repository, verb)
        denied.__cause__ = RefusedByRule(access, tag, rule=str(rule) if rule else "", reason=decision.reason)
        return denied

    def shows_repository(self, name: str) -> bool:
        """See Permissions."""
        if self._grant.holder is None:
            return False
        return self._policies.decide(self._principal, pull(name), self._request).allowed

    def shows_tag(self, tag: str) -> bool:
        """See Permissions."""
        return self.refusal("pull", Tag(tag)) is None

    def shows_every_tag(self) -> bool:
        """See Permissions."""
        if self._grant.holder is None:
            return False
        return self._policies.allows_every_tag(self._principal, Action.PULL, self._repository, self._request)


def request_facts(view: ClientView) -> RequestFacts:
    """The facts of a request, as far as the edge knows them."""
    return RequestFacts(view.client, _TLS.get(view.scheme))


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
