from collections.abc import Mapping

import pytest
from hypothesis import given

from authproxy.access import CATALOG, Access, pull, push
from authproxy.policy.decide import expand
from authproxy.policy.model import ANY_ROBOT, HIDDEN_ACTIONS, SIGNED_IN, Action, Effect, PolicySet, Rule, SubjectKey
from authproxy.policy.serve_time import decide_served
from authproxy.policy.token_attributes import NOTHING, Carried, carried
from authproxy.principal import ANONYMOUS, Principal
from tests.support.examples import more_examples
from tests.unit.policy.builders import accesses, make_rule, principals, repositories, rule_lists, tags

DENY = Effect.DENY
DEVS, OPS = SubjectKey("group", "devs"), SubjectKey("group", "ops")
OVERWRITE = frozenset([Action.OVERWRITE])
IMMUTABLE = make_rule(1, effect=DENY, actions=OVERWRITE, tags=("v*",), on=("team/**",))
ALICE = Principal("alice", frozenset({"devs", "ops", "team"}), {"project": "web", "ref": ["main"]}, "ldap")

ROWS: list[tuple[str, list[Rule], Access, set[str], Mapping[str, object], str]] = [
    ("no such rule", [make_rule(1, to=(DEVS,))], push("team/app"), set(), {}, ""),
    ("elsewhere", [IMMUTABLE, make_rule(2, to=(DEVS,))], push("other"), set(), {}, ""),
    ("another action", [IMMUTABLE, make_rule(2, to=(DEVS,))], pull("team/app"), set(), {}, ""),
    ("the group that may push there", [IMMUTABLE, make_rule(2, to=(DEVS,))], push("team/app"), {"devs"}, {}, ""),
    ("none where everybody may", [IMMUTABLE, make_rule(2, to=(DEVS, SIGNED_IN))], push("team/app"), set(), {}, ""),
    ("a group that must not", [make_rule(1, effect=DENY, actions=OVERWRITE, to=(OPS,))], push("a"), {"ops"}, {}, ""),
    (
        "with everything, what each single action asks for",
        [make_rule(1, effect=DENY, actions=frozenset([Action.CREATE]), to=(DEVS,))],
        Access("repository", "a", "*"),
        {"devs"},
        {},
        "",
    ),
    ("a group of others", [IMMUTABLE, make_rule(2, to=(SubjectKey("group", "x"),))], push("team/a"), set(), {}, ""),
    (
        "a claim, with all its values",
        [IMMUTABLE, make_rule(2, to=(SubjectKey("claim", "main", "ref"),))],
        push("team/app"),
        set(),
        {"ref": ["main"]},
        "",
    ),
    ("a group that stands in the name", [IMMUTABLE, make_rule(2, on=("{group}/*",))], push("team/a"), {"team"}, {}, ""),
    (
        "a claim that stands in the name",
        [IMMUTABLE, make_rule(2, on=("team/{claims.project}",))],
        push("team/web"),
        set(),
        {"project": "web"},
        "",
    ),
    (
        "a condition over groups",
        [IMMUTABLE, make_rule(2, when="'devs' in identity.groups")],
        push("team/app"),
        {"devs", "ops", "team"},
        {},
        "",
    ),
    (
        "a condition over a claim and the source",
        [IMMUTABLE, make_rule(2, when="has(identity.claims.ref) && identity.source == 'ldap'")],
        push("team/app"),
        set(),
        ALICE.claims,
        "ldap",
    ),
    (
        "with the catalog, what rules about pulling name",
        [make_rule(1, to=(DEVS,), on=("a/**",)), make_rule(2, to=(OPS,), actions=frozenset([Action.PUSH]))],
        CATALOG,
        {"devs"},
        {},
        "",
    ),
    (
        "with the catalog, any group that could stand in a name",
        [make_rule(1, on=("{group}/**", "{claims.project:path}"))],
        CATALOG,
        {"devs", "ops", "team"},
        {"project": "web"},
        "",
    ),
]


@pytest.mark.parametrize(
    ("rules", "access", "groups", "claims", "source"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_what_is_carried(
    rules: list[Rule], access: Access, groups: set[str], claims: Mapping[str, object], source: str
) -> None:
    assert carried(PolicySet(tuple(rules)), ALICE, [access]) == Carried(frozenset(groups), claims, source)


@pytest.mark.parametrize(
    ("rule", "is_carried"),
    [
        (make_rule(2, to=(ANY_ROBOT,)), True),
        (make_rule(2, to=(SubjectKey("robot", "bot"), DEVS)), True),
        (make_rule(2, when="!identity.robot"), True),
        (make_rule(2, to=(ANY_ROBOT, SIGNED_IN)), False),
        (make_rule(2, to=(SubjectKey("user", "bot"),)), False),
    ],
    ids=["any robot", "by name", "by a condition", "not where all may", "not where a name does"],
)
def test_that_it_is_a_robot_is_carried_where_a_rule_asks(rule: Rule, is_carried: bool) -> None:  # noqa: FBT001  a column
    bot = Principal("bot", is_robot=True)
    assert carried(PolicySet((IMMUTABLE, rule)), bot, [push("team/app")]).is_robot is is_carried
    assert not carried(PolicySet((IMMUTABLE, rule)), Principal("bot"), [push("team/app")]).is_robot


def test_of_nobody_nothing_is_carried() -> None:
    rule = make_rule(1, effect=DENY, actions=OVERWRITE, on=("{group}",), when="size(identity.groups) == 0")
    assert carried(PolicySet((rule,)), ANONYMOUS, [push("a"), CATALOG]) is NOTHING


@more_examples(4)
@given(rule_lists, principals, accesses, tags, repositories)
def test_what_is_decided_with_it_is_what_is_decided_with_the_whole_caller(
    rules: list[Rule], principal: Principal, access: Access, tag: str | None, listed: str
) -> None:
    policies = PolicySet(tuple(rules))
    part = carried(policies, principal, [access]).to_principal(principal.name)
    if access == CATALOG:
        asked = [(Action.PULL, listed)]
    else:
        actions = [Action(single.action) for single in expand(access)]
        hidden = HIDDEN_ACTIONS if Action.PUSH in actions else ()
        asked = [(action, access.name) for action in (*actions, *hidden)]
    for action, repository in asked:
        if access == CATALOG or policies.asks_for_tag(action, repository):
            whole, again = (
                decide_served(policies, who, action, repository, tag=tag, now=None) for who in (principal, part)
            )
            assert whole == again
