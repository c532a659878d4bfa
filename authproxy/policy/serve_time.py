"""Decisions that need the request: about tags, and about the actions that `push` includes.

A token only says `push`. The tag, and whether the tag and the repository exist, are known when the request is served.
Reasons: docs/decisions/0023-serve-time-rules.md.
"""

from authproxy.access import Access
from authproxy.policy.decide import Decision, decide, decide_target, holds
from authproxy.policy.model import HIDDEN_ACTIONS, Action, Effect, PolicySet, Target
from authproxy.policy.request import RequestFacts
from authproxy.principal import Principal


def decide_served(
    policies: PolicySet,
    principal: Principal,
    action: Action,
    repository: str,
    *,
    tag: str | None,
    now: float | None,
    request: RequestFacts | None = None,
) -> Decision:
    """Decide one action of a request that a token or password has authorised for the repository.

    `repository` is a valid name. `tag` is None if the request has none (a blob, a manifest by digest).
    `create` and `overwrite` are allowed unless a rule denies them; whether the caller may push is decided elsewhere.
    `now` and `request` as for `decide`.
    """
    decision = decide_target(policies, Target(action, tuple(repository.split("/")), principal, tag), now, request)
    if action in HIDDEN_ACTIONS and decision.rule is None:
        return Decision(allowed=True, rules=(), reason="no rule denies it")
    return decision


def allows_every_tag(
    policies: PolicySet,
    principal: Principal,
    action: Action,
    repository: str,
    *,
    now: float | None,
    request: RequestFacts | None = None,
) -> bool:
    """Whether an action is allowed for each tag that there may be. `now` and `request` as for `decide`.

    False if a rule denies it for certain tags, whatever its condition is, or if only certain tags are allowed.
    """
    target = Target(action, tuple(repository.split("/")), principal)
    rules = [rule for rule in policies.candidates(target) if rule.resources.include(target)]
    for_all = [(rule.effect, holds(rule, target, now, request)) for rule in rules if not rule.resources.tags]
    if any(rule.effect is Effect.DENY and rule.resources.tags for rule in rules):
        return False
    if any(effect is Effect.DENY and is_met is not False for effect, is_met in for_all):
        return False
    return any(effect is Effect.ALLOW and is_met for effect, is_met in for_all)


def decide_in_full(
    policies: PolicySet,
    principal: Principal,
    access: Access,
    *,
    tag: str | None = None,
    now: float | None = None,
    request: RequestFacts | None = None,
) -> Decision:
    """Decide one access as token and request together do: an action that `push` includes needs `push` too."""
    if access.type != "repository" or access.action not in HIDDEN_ACTIONS:
        return decide(policies, principal, access, tag=tag, now=now, request=request)
    pushing = decide(policies, principal, access._replace(action=Action.PUSH.value), tag=tag, now=now, request=request)
    if not pushing.allowed:
        return pushing
    action = Action(access.action)
    hidden = decide_served(policies, principal, action, access.name, tag=tag, now=now, request=request)
    return pushing if hidden.allowed else hidden
