"""Explanations of decisions: the rule that decided, and the rules that almost matched."""

from dataclasses import dataclass

from authproxy.access import Access
from authproxy.policy.decide import Decision, expand, find_target, holds
from authproxy.policy.glob import Glob
from authproxy.policy.model import HIDDEN_ACTIONS, Action, Effect, PolicySet, Rule, Subjects, Target
from authproxy.policy.request import RequestFacts
from authproxy.policy.serve_time import decide_in_full
from authproxy.principal import Principal

# More would hide the useful ones.
MAX_NEAR = 5

_UNDECIDABLE = "its condition is undecidable"
_OVERRULED = "it would allow this, but a deny always wins"

# Why a rule about a single key does not include a caller.
_NOT_INCLUDED = {
    "user": "is not {0.name}",
    "robot": "is not the robot {0.name}",
    "any-robot": "is not a robot",
    "group": "is not in the group {0.name}",
    "claim": "has no claim {0.claim}={0.name}",
    "signed-in": "is not signed in",
    "anonymous": "is not anonymous",
}


@dataclass(frozen=True, slots=True)
class Near:
    """A rule that would have allowed the access but for one mismatch."""

    rule: Rule
    why_not: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision about a single action, and how it was reached."""

    principal: Principal
    access: Access
    decision: Decision
    tag: str | None = None
    near: tuple[Near, ...] = ()  # empty if the access is allowed
    is_undecided: bool = False  # denied, but only by conditions about what is unknown; known, they might allow it


def explain(
    policies: PolicySet,
    principal: Principal,
    access: Access,
    *,
    tag: str | None = None,
    now: float | None = None,
    request: RequestFacts | None = None,
) -> tuple[Explanation, ...]:
    """Explain an access, action by action for `*`. The other arguments are those of `decide_in_full`."""
    return tuple(_explain_single(policies, principal, single, tag, now, request) for single in expand(access))


def render(explanation: Explanation) -> list[str]:
    """The explanation as lines for an operator."""
    principal, decision = explanation.principal, explanation.decision
    verdict = decision.reason if decision.rule is not None else f"denied: {decision.reason}"
    tag = "" if explanation.tag is None else f" with tag {explanation.tag}"
    lines = [f"{principal.name or 'anonymous'} asks {explanation.access}{tag}", f"  {verdict}"]
    if decision.rule is not None and decision.rule.effect is Effect.DENY and decision.rule.description:
        lines.append(f"  it says: {decision.rule.description}")
    lines += [f"  near: {near.rule} ({near.rule.summary}): {near.why_not}" for near in explanation.near[:MAX_NEAR]]
    if len(explanation.near) > MAX_NEAR:
        lines.append(f"  near: {len(explanation.near) - MAX_NEAR} more")
    return lines


def _explain_single(
    policies: PolicySet,
    principal: Principal,
    access: Access,
    tag: str | None,
    now: float | None,
    request: RequestFacts | None,
) -> Explanation:
    decision = decide_in_full(policies, principal, access, tag=tag, now=now, request=request)
    # Rules do not allow what push includes; rules that allow push do.
    is_hidden = access.type == "repository" and access.action in HIDDEN_ACTIONS
    target = find_target(principal, access._replace(action=Action.PUSH.value) if is_hidden else access, tag)
    if decision.allowed or isinstance(target, str):
        return Explanation(principal, access, decision, tag)
    near = [
        Near(rule, why_not)
        for rule in policies.rules
        if rule.effect is Effect.ALLOW and (why_not := _why_not(rule, target, now, request)) is not None
    ]
    # Rules about this caller first, then by place.
    near.sort(key=lambda one: (not one.rule.subjects.include(principal), one.rule.file, one.rule.line))
    decisive = {_UNDECIDABLE, _OVERRULED} if decision.rules else {_UNDECIDABLE}
    is_undecided = any(one.why_not in decisive for one in near) and all(
        holds(rule, target, now, request) is None for rule in decision.rules
    )
    return Explanation(principal, access, decision, tag, tuple(near), is_undecided)


def _why_not(rule: Rule, target: Target, now: float | None, request: RequestFacts | None) -> str | None:
    """The only mismatch that kept an allow rule from deciding; None if there is more than one."""
    principal = target.caller
    if (Action.CATALOG in rule.actions) != (target.action is Action.CATALOG):
        return None  # a rule about repositories never concerns the catalog
    reasons = []
    if not rule.subjects.include(principal):
        reasons.append(f"{principal.name or 'anonymous'} {_why_not_included(rule.subjects)}")
    if target.action not in rule.actions:
        reasons.append(f"{target.action} is not among its actions")
    if not rule.resources.include(target):
        reasons.append(_why_elsewhere(rule, principal))
    elif not rule.is_about(target):
        reasons.append(f"the tag {target.tag} does not match")
    if (does_hold := holds(rule, target, now, request)) is not True:
        reasons.append("its condition does not hold" if does_hold is False else _UNDECIDABLE)
    match reasons:
        case []:
            return _OVERRULED
        case [reason]:
            return reason
        case _:
            return None


def _why_not_included(subjects: Subjects) -> str:
    keys = sorted(subjects.any_of)
    if len(keys) == 1:
        return _NOT_INCLUDED[keys[0].kind].format(keys[0])
    if all(key.kind == "group" for key in keys):
        return f"is in none of the groups {', '.join(key.name for key in keys)}"
    return f"is none of: {subjects}"


def _why_elsewhere(rule: Rule, principal: Principal) -> str:
    lacking = [_find_lack(glob, principal) for glob in rule.resources.repositories]
    return next((lack for lack in lacking if lack is not None), "the repository does not match")


def _find_lack(glob: Glob, principal: Principal) -> str | None:
    """Why a placeholder of the glob has no value for this caller; None if each has one."""
    for placeholder in glob.placeholders:
        if placeholder.is_placeable(principal):
            continue
        if principal.is_anonymous:
            return f"anonymous callers have no {placeholder}"
        match placeholder.kind:
            case "user" if placeholder.domain and placeholder.value_of(principal.name) is None:
                lack = f"the name {principal.name!r} does not end in @{placeholder.domain}"
            case "user":
                lack = f"the name {principal.name!r} is not a path segment of a repository name"
            case "group":
                lack = f"no group of {principal.name} is a path segment of a repository name"
            case _:
                lack = f"{principal.name} has no claim {placeholder.claim} that could be part of a repository name"
        return f"{lack}, so {placeholder} matches nothing"
    return None
