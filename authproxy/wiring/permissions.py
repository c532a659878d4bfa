"""The policies as the edge and the backend ask them about one request."""

from authproxy.access import Access, Grant, pull
from authproxy.client_view import ClientView
from authproxy.errors import Denied
from authproxy.permissions import Permissions, RefusedByRule, Verb
from authproxy.policy.model import Action
from authproxy.policy.policies import Policies
from authproxy.principal import Principal
from authproxy.reference import Repository, Tag
from authproxy.route import Kind, Route
from authproxy.wiring.facts import request_facts

# What a request of each kind may have to ask about in its repository, beside what its route needs anyway.
_ASKED: dict[tuple[Kind, str], tuple[Action, ...]] = {
    (Kind.MANIFEST, "GET"): (Action.PULL,),
    (Kind.MANIFEST, "HEAD"): (Action.PULL,),
    (Kind.MANIFEST, "PUT"): (Action.PUSH, Action.CREATE, Action.OVERWRITE),
    (Kind.MANIFEST, "DELETE"): (Action.DELETE,),
    (Kind.BLOB, "DELETE"): (Action.DELETE,),
    (Kind.TAGS, "GET"): (Action.PULL,),
    (Kind.TAGS, "HEAD"): (Action.PULL,),
    (Kind.UPLOADS, "POST"): (Action.CREATE,),
}


class FindRules:
    """Finds the permissions of whoever makes a request, by the rules in force."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies

    def __call__(self, route: Route, grant: Grant, view: ClientView) -> Permissions | None:
        """See `edge.permit.FindPermissions`."""
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
            return Denied(f"{message}: the token says too little about its holder, who has too many groups")
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
