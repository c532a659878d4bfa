"""Tags that may not be deleted, whatever retention says: those that a `deny` of delete protects from everyone."""

from authproxy.policy.decide import holds
from authproxy.policy.glob import PLACEHOLDER, Glob
from authproxy.policy.model import EVERYONE, SIGNED_IN, Action, Effect, PolicySet, Rule, Target
from authproxy.policy.retention import Protection
from authproxy.principal import ANONYMOUS
from authproxy.reference import Tag


def find_protection(policies: PolicySet, repository: str, *, now: float | None) -> Protection:
    """Which tags of a repository are protected, and why.

    A rule protects where it denies delete to everyone, or to all who signed in. Retention has no caller: a placeholder
    could have any value, and a condition protects unless it certainly doesn't hold for an anonymous caller.
    """
    rules = [rule for rule in policies.rules if _protects(rule, repository, now)]

    def protection(tag: Tag | None) -> str | None:
        for rule in rules:
            globs = rule.resources.tags
            if not globs or (tag is not None and any(glob.matches(tag) for glob in globs)):
                return f"may not be deleted: {rule} denies it"
        return None

    return protection


def _protects(rule: Rule, repository: str, now: float | None) -> bool:
    if rule.effect is not Effect.DENY or Action.DELETE not in rule.actions:
        return False
    if rule.subjects.any_of.isdisjoint((EVERYONE, SIGNED_IN)):
        return False
    segments = tuple(repository.split("/"))
    if not any(_with_any_value(glob).matches(segments, ANONYMOUS) for glob in rule.resources.repositories):
        return False
    return holds(rule, Target(Action.DELETE, segments, ANONYMOUS), now) is not False


def _with_any_value(glob: Glob) -> Glob:
    if not glob.placeholders:
        return glob
    return Glob.parse(PLACEHOLDER.sub(lambda found: "**" if found[0].endswith(":path}") else "*", glob.text))
