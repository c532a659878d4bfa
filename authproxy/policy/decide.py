"""The decision about an access: a pure function of the current rules, the caller and the requested access.

A matching deny overrides every allow. Without a matching allow the access is denied. The order of rules and files has
no effect.
"""

from dataclasses import dataclass

from authproxy.access import CATALOG, Access
from authproxy.errors import NameInvalid
from authproxy.policy.facts import Facts, Question
from authproxy.policy.model import REPOSITORY_ACTIONS, Action, Effect, PolicySet, Rule, Target
from authproxy.policy.request import RequestFacts
from authproxy.principal import ANONYMOUS, Principal
from authproxy.reference import parse_repository

_NO_FACTS = Facts(Question(ANONYMOUS, "", ""))


@dataclass(frozen=True, slots=True)
class Decision:
    """Allowed or denied, and why. `rules` are the rules that decided, by file and line; each alone would have decided.

    `reason` and `rule.place` name local files: they are for logs and operators, not for clients.
    """

    allowed: bool
    rules: tuple[Rule, ...]
    reason: str

    @property
    def rule(self) -> Rule | None:
        """The first rule that decided; None if no rule matched."""
        return self.rules[0] if self.rules else None

    @property
    def lifetime_s(self) -> int | None:
        """The longest lifetime of a token with this access: the shortest of the deciding rules. None: no limit."""
        return min((rule.lifetime_s for rule in self.rules if rule.lifetime_s is not None), default=None)


def expand(access: Access) -> tuple[Access, ...]:
    """The single actions of a requested access.

    podman and skopeo request `*` on a repository to delete: it means pull, push and delete, and the token gets those
    that are allowed. `registry:catalog:*` is one single action.
    """
    if access.type == "repository" and access.action == "*":
        return tuple(access._replace(action=action.value) for action in REPOSITORY_ACTIONS)
    return (access,)


def decide(
    policies: PolicySet,
    principal: Principal,
    access: Access,
    *,
    tag: str | None = None,
    now: float | None = None,
    request: RequestFacts | None = None,
) -> Decision:
    """Decide one access. `*` on a repository is allowed if every action it means is allowed.

    `tag` is the requested tag; None if it is unknown, as when a token is issued. Conditions read `now`, in seconds
    since 1970, and `request`; a condition about a missing one is undecidable.
    """
    singles = expand(access)
    if len(singles) == 1:
        return _decide_single(policies, find_target(principal, access, tag), now, request)
    decisions = [_decide_single(policies, find_target(principal, one, tag), now, request) for one in singles]
    if denied := next((decision for decision in decisions if not decision.allowed), None):
        return denied
    rules = _in_order([rule for decision in decisions for rule in decision.rules])
    return Decision(allowed=True, rules=rules, reason=f"allowed by {rules[0]}")


def find_target(principal: Principal, access: Access, tag: str | None = None) -> Target | str:
    """The target of an access with a single action; or a sentence that says why no rule can match it."""
    if access == CATALOG:
        return Target(Action.CATALOG, (), principal)
    if access.type != "repository":
        return f"no rule can allow anything on {access.type}:{access.name}"
    if access.action not in REPOSITORY_ACTIONS:
        return f"{access.action!r} is not an action on a repository"
    try:
        segments = parse_repository(access.name).split("/")
    except NameInvalid:
        return f"{access.name!r} is not a repository name"
    return Target(Action(access.action), tuple(segments), principal, tag)


def decide_target(policies: PolicySet, target: Target, now: float | None, request: RequestFacts | None) -> Decision:
    """Decide one action on one repository, or on the catalog. `now` and `request` as for `decide`."""
    # A caller in two of a rule's groups meets the rule twice.
    found = {id(rule): rule for rule in policies.candidates(target) if rule.is_about(target)}
    matching = found.values()
    # Most rules have no condition, and this is a hot path.
    has_condition = any(rule.condition is not None for rule in matching)
    facts = _facts(target, now, request) if has_condition else _NO_FACTS
    # An undecidable condition denies and never allows.
    denying = [
        rule
        for rule in matching
        if rule.effect is Effect.DENY and (rule.condition is None or rule.condition.holds(facts) is not False)
    ]
    if denying:
        rules = _in_order(denying)
        return Decision(allowed=False, rules=rules, reason=f"denied by {rules[0]}")
    allowing = [
        rule
        for rule in matching
        if rule.effect is Effect.ALLOW and (rule.condition is None or rule.condition.holds(facts))
    ]
    if allowing:
        rules = _in_order(allowing)
        return Decision(allowed=True, rules=rules, reason=f"allowed by {rules[0]}")
    return Decision(allowed=False, rules=(), reason="no rule allows it")


def holds(rule: Rule, target: Target, now: float | None, request: RequestFacts | None = None) -> bool | None:
    """Whether the condition of a rule holds, or the rule has none; None if it is undecidable."""
    if rule.condition is None:
        return True
    return rule.condition.holds(_facts(target, now, request))


def _facts(target: Target, now: float | None, request: RequestFacts | None) -> Facts:
    return Facts(Question(target.caller, "/".join(target.repository), target.action, now, request))


def _decide_single(
    policies: PolicySet, target: Target | str, now: float | None, request: RequestFacts | None
) -> Decision:
    if isinstance(target, str):
        return Decision(allowed=False, rules=(), reason=target)
    return decide_target(policies, target, now, request)


def _in_order(rules: list[Rule]) -> tuple[Rule, ...]:
    # Sorted and distinct, so that explanations and logs can be compared.
    if len(rules) == 1:
        return (rules[0],)
    return tuple(sorted({rule.place: rule for rule in rules}.values(), key=lambda rule: (rule.file, rule.line)))
