"""`python -m benchmarks.decisions`: what one decision costs with 10,000 rules about 1,000 groups, and in a plain loop.

CPU time of this process; for the index, the median of rounds. Callers differ in the number of their groups; the last
one matches two rules with conditions.
"""

import statistics
import sys
import time
from itertools import cycle

from authproxy.access import Access, pull, push
from authproxy.policy.condition import Condition
from authproxy.policy.decide import decide, find_target, holds
from authproxy.policy.glob import Glob
from authproxy.policy.model import REPOSITORY_ACTIONS, Action, Effect, PolicySet, Resources, Rule, SubjectKey, Subjects
from authproxy.principal import Principal

RULES = 10_000
GROUPS = 1_000
ROUNDS = 9
DECISIONS = 2_000  # in a round

NOW = 1_800_014_400.0


def make_policies() -> PolicySet:
    """Ten rules for each group: about its folder, parts of others' folders and every folder, and a deny."""
    rules = [_rule(i, *_shape(i)) for i in range(RULES - 2)]
    conditions = ("'g7' in identity.groups && time.getHours() >= 8", "identity.name.startsWith('u')")
    rules += [
        _rule(RULES - 2 + i, "g7", "team7/**", Effect.ALLOW, Condition.parse(text)) for i, text in enumerate(conditions)
    ]
    return PolicySet(tuple(rules))


def _shape(i: int) -> tuple[str, str, Effect, None]:
    group = i % GROUPS
    kind = i // GROUPS
    if kind == 0:
        return f"g{group}", f"team{group}/**", Effect.ALLOW, None
    if kind == 1:
        return f"g{group}", f"team{group}/frozen/**", Effect.DENY, None
    if kind == 2:
        return f"g{group}", f"**/shared-{group}", Effect.ALLOW, None
    return f"g{group}", f"team{(group * kind + kind) % GROUPS}/part{kind}/*", Effect.ALLOW, None


def _rule(line: int, group: str, glob: str, effect: Effect, condition: Condition | None) -> Rule:
    return Rule(
        name=f"rule {line}",
        description="",
        effect=effect,
        actions=frozenset(REPOSITORY_ACTIONS if effect is Effect.ALLOW else [Action.PUSH]),
        subjects=Subjects(frozenset([SubjectKey("group", group)])),
        resources=Resources((Glob.parse(glob),)),
        file="bench.yaml",
        line=line,
        condition=condition,
    )


def decide_in_a_loop(policies: PolicySet, principal: Principal, access: Access) -> bool:
    """The same decision without an index: every rule is tried."""
    target = find_target(principal, access)
    assert not isinstance(target, str)
    effects = {
        rule.effect
        for rule in policies.rules
        if target.action in rule.actions
        and rule.subjects.include(principal)
        and rule.resources.include(target)
        and holds(rule, target, NOW)
    }
    return effects == {Effect.ALLOW}


def _cost_us(policies: PolicySet, principal: Principal, asked: list[Access]) -> float:
    """CPU time of one decision, in microseconds: the median of rounds."""
    costs = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        for _, access in zip(range(DECISIONS), cycle(asked), strict=False):
            decide(policies, principal, access, now=NOW)
        costs.append((time.process_time() - begin) / DECISIONS * 1e6)
    return statistics.median(costs)


def main() -> int:
    """Print a line for each kind of caller. Exits with 1 if index and loop disagree."""
    policies = make_policies()
    print(f"{len(policies.rules)} rules about {GROUPS} groups; processor time of a decision, in µs")
    print(f"{'caller':<34}{'indexed':>10}{'plain loop':>12}")
    callers = [(f"in {count} groups", _caller(range(100, 100 + count))) for count in (1, 10, 100)]
    callers += [("in all groups", _caller(range(GROUPS))), ("of two conditions", _caller([7]))]
    for label, principal in callers:
        team = 7 if label == "of two conditions" else 105
        asked = [pull(f"team{team}/app"), push(f"team{team}/frozen/app"), pull("elsewhere/app")]
        begin = time.process_time()
        looped_answers = [decide_in_a_loop(policies, principal, access) for access in asked]
        looped = (time.process_time() - begin) / len(asked) * 1e6
        if looped_answers != [decide(policies, principal, access, now=NOW).allowed for access in asked]:
            print(f"index and loop disagree: {label}", file=sys.stderr)
            return 1
        indexed = _cost_us(policies, principal, asked)
        print(f"{label:<34}{indexed:>10.1f}{looped:>12.0f}")
    return 0


def _caller(groups: range | list[int]) -> Principal:
    return Principal("user", frozenset(f"g{i}" for i in groups))


if __name__ == "__main__":
    sys.exit(main())
