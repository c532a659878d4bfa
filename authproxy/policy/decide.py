"""May this caller do this? A pure function of the rules in force, the caller and the access asked for.

A deny that matches wins over every allow; what no rule allows is denied; the order of rules and files means nothing.
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
    """An answer, and why. `rules` are those that decided, by file and line: each alone would have.

    `reason` and `rule.place` name files of this machine: they are for logs and operators, not for clients.
    """

    allowed: bool
    rules: tuple[Rule, ...]
    reason: str

    @property
    def rule(self) -> Rule | None:
        """The first of those that decided; None where none did."""
        return self.rules[0] if self.rules else None

    @property
    def lifetime_s(self) -> int | None:
        """How long a token that says so may be good: the least that any of the rules says; None where none does."""
        return min((rule.lifetime_s for rule in self.rules if rule.lifetime_s is not None), default=None)


def expand(access: Access) -> tuple[Access, ...]:
    """The single actions that an access asks for.

    Clients ask for `*` on a repository when they delete (podman, skopeo): it stands for pull, push and delete, and is
    answered with those of them that are allowed. `registry:catalog:*` is a single action of its own.
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
    """Decide one access. `*` on a repository is allowed where all that it stands for is.

    `tag` is the one that is asked for; None where it is not known, as when a token is issued. `now` and `request` are
    for conditions, which cannot be told without what they are about; `now` is in seconds since 1970.
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
    """What an access, a single action, is about; or a sentence that says why no rule can be about it."""
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
    # A caller in two of a rule's groups meets it twice.
    found = {id(rule): rule for rule in policies.candidates(target) if rule.is_about(target)}
    matching = found.values()
    # Most decisions meet no condition, and a decision has no time to give away.
    has_condition = any(rule.condition is not None for rule in matching)
    facts = _facts(target, now, request) if has_condition else _NO_FACTS
    # What cannot be told denies, and does not allow.
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
    """Whether the condition of a rule holds, if it has one; None where that cannot be told."""
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
    # Always the same one comes first, and none twice: so explanations and logs can be compared.
    if len(rules) == 1:
        return (rules[0],)
    return tuple(sorted({rule.place: rule for rule in rules}.values(), key=lambda rule: (rule.file, rule.line)))
