"""May this caller do this? A pure function of the rules in force, the caller and the access asked for.

A deny that matches wins over every allow; what no rule allows is denied; the order of rules and files means nothing.
"""

from dataclasses import dataclass

from authproxy.access import CATALOG, Access
from authproxy.errors import NameInvalid
from authproxy.policy.glob import placeable_name
from authproxy.policy.model import REPOSITORY_ACTIONS, Action, Effect, PolicySet, Rule, Target
from authproxy.principal import Principal
from authproxy.reference import parse_repository


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer, and why. `rule` is the one that decided; None where no rule did.

    `reason` and `rule.place` name files of this machine: they are for logs and operators, not for clients.
    """

    allowed: bool
    rule: Rule | None
    reason: str


def expand(access: Access) -> tuple[Access, ...]:
    """The single actions that an access asks for.

    Clients ask for `*` on a repository when they delete (podman, skopeo): it stands for pull, push and delete, and is
    answered with those of them that are allowed. `registry:catalog:*` is a single action of its own.
    """
    if access.type == "repository" and access.action == "*":
        return tuple(access._replace(action=action.value) for action in REPOSITORY_ACTIONS)
    return (access,)


def decide(policies: PolicySet, principal: Principal, access: Access) -> Decision:
    """Decide one access. `*` on a repository is allowed where all that it stands for is."""
    decisions = [_decide_single(policies, principal, single) for single in expand(access)]
    return next((decision for decision in decisions if not decision.allowed), decisions[-1])


def find_target(principal: Principal, access: Access) -> Target | str:
    """What an access, a single action, is about; or a sentence that says why no rule can be about it."""
    if access == CATALOG:
        return Target(Action.CATALOG, (), placeable_name(principal.name))
    if access.type != "repository":
        return f"no rule can allow anything on {access.type}:{access.name}"
    if access.action not in REPOSITORY_ACTIONS:
        return f"{access.action!r} is not an action on a repository"
    try:
        segments = parse_repository(access.name).split("/")
    except NameInvalid:
        return f"{access.name!r} is not a repository name"
    return Target(Action(access.action), tuple(segments), placeable_name(principal.name))


def _decide_single(policies: PolicySet, principal: Principal, access: Access) -> Decision:
    target = find_target(principal, access)
    if isinstance(target, str):
        return Decision(allowed=False, rule=None, reason=target)
    matching = [
        rule
        for rule in policies.candidates(principal, target)
        if target.action in rule.actions and rule.resources.include(target)
    ]
    if denying := [rule for rule in matching if rule.effect is Effect.DENY]:
        rule = _first(denying)
        return Decision(allowed=False, rule=rule, reason=f"denied by {rule}")
    if matching:
        rule = _first(matching)
        return Decision(allowed=True, rule=rule, reason=f"allowed by {rule}")
    return Decision(allowed=False, rule=None, reason="no rule allows it")


def _first(rules: list[Rule]) -> Rule:
    # Any of them decides; always naming the same one keeps explanations and logs comparable.
    return min(rules, key=lambda rule: (rule.file, rule.line))
