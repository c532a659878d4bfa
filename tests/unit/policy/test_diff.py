import pytest
from hypothesis import given

from authproxy.access import Access
from authproxy.policy.decide import decide, expand, find_target
from authproxy.policy.diff import diff, render
from authproxy.policy.model import SIGNED_IN, Action, Effect, PolicySet, Rule, SubjectKey, Target
from authproxy.policy.serve_time import decide_served
from authproxy.principal import Principal
from tests.support.examples import more_examples
from tests.unit.policy.builders import (
    accesses,
    make_rule,
    principals,
    repositories,
    rule_lists,
    served_actions,
    tags,
    unconditional_rule_lists,
)

DENY = Effect.DENY
OVERWRITE = frozenset([Action.OVERWRITE])
PULL, PUSH = frozenset([Action.PULL]), frozenset([Action.PUSH])
DEVS, ALICE = SubjectKey("group", "devs"), SubjectKey("user", "alice")

LINES = [
    (
        "a new allow",
        [],
        [make_rule(1, to=(DEVS,), on=("team/**",))],
        ["+ pull, push, delete: group devs on team/**"],
    ),
    (
        "an allow that is gone",
        [make_rule(1, actions=PULL, to=(DEVS,), on=("team/**",))],
        [],
        ["- pull: group devs on team/**"],
    ),
    (
        "a wider allow",
        [make_rule(1, actions=PULL, to=(DEVS,), on=("team/*",))],
        [make_rule(1, actions=PULL, to=(DEVS,), on=("team/**",))],
        ["+ pull: group devs on team/**", "    not group devs on team/*, which was allowed"],
    ),
    ("an allow that was there already", [make_rule(1)], [make_rule(1), make_rule(2, to=(DEVS,), on=("team/**",))], []),
    (
        "a new deny",
        [make_rule(1, actions=PUSH)],
        [make_rule(1, actions=PUSH), make_rule(2, effect=DENY, actions=PUSH, to=(ALICE,), on=("team/**",))],
        ["- push: user alice on team/**"],
    ),
    (
        "a new deny on a part of what another part is allowed",
        [make_rule(1, actions=PUSH, to=(DEVS,), on=("team/**",))],
        [
            make_rule(1, actions=PUSH, to=(DEVS,), on=("team/**",)),
            make_rule(2, effect=DENY, actions=PUSH, to=(ALICE,), on=("*/app",)),
        ],
        ["- push: group devs on team/** and also user alice on */app"],
    ),
    (
        "a deny of what nobody may",
        [make_rule(1, on=("a/**",))],
        [make_rule(1, on=("a/**",)), make_rule(2, effect=DENY, on=("b/**",))],
        [],
    ),
    (
        "a new allow within a deny",
        [make_rule(1, effect=DENY, on=("a/**",))],
        [make_rule(1, effect=DENY, on=("a/**",)), make_rule(2, to=(DEVS,), on=("a/b",))],
        [],
    ),
    (
        "a new allow with a deny within",
        [],
        [make_rule(1, actions=PULL, on=("a/**",)), make_rule(2, effect=DENY, to=(SIGNED_IN,), on=("a/b",))],
        ["+ pull: everyone on a/**", "    not signed-in on a/b, which is denied"],
    ),
    (
        "an allow for one who was denied",
        [make_rule(1, actions=PULL, to=(SIGNED_IN,)), make_rule(2, effect=DENY, to=(ALICE,), on=("x",))],
        [make_rule(1, actions=PULL, to=(SIGNED_IN,))],
        ["+ pull: user alice on x"],
    ),
    (
        "the catalog",
        [],
        [make_rule(1, actions=frozenset([Action.CATALOG]), on=(), to=(DEVS,))],
        ["+ catalog: group devs on the registry"],
    ),
    (
        "tags that stay",
        [make_rule(1, actions=PUSH)],
        [make_rule(1, actions=PUSH), make_rule(2, effect=DENY, actions=OVERWRITE, tags=("v*",))],
        ["- overwrite: everyone on ** with tag v*"],
    ),
    (
        "fewer tags that stay",
        [make_rule(2, effect=DENY, actions=OVERWRITE, tags=("v*",))],
        [make_rule(2, effect=DENY, actions=OVERWRITE, tags=("v1*",))],
        ["+ overwrite: everyone on ** with tag v*", "    not everyone on ** with tag v1*, which is denied"],
    ),
    (
        "tags that one may push",
        [make_rule(1, actions=PUSH, to=(ALICE,))],
        [make_rule(1, actions=PUSH, to=(ALICE,)), make_rule(2, actions=PUSH, to=(DEVS,), tags=("dev",))],
        ["+ push: group devs on ** with tag dev", "    not user alice on **, which was allowed"],
    ),
    (
        "a deny of tags that are allowed to nobody",
        [make_rule(1, tags=("dev-*",))],
        [make_rule(1, tags=("dev-*",)), make_rule(2, effect=DENY, tags=("v*",))],
        [],
    ),
    (
        "cut along other lines",
        [make_rule(1, actions=PULL | PUSH, to=(DEVS, ALICE), on=("a", "b"))],
        [
            make_rule(1, actions=PULL, to=(DEVS, ALICE), on=("a", "b")),
            make_rule(2, actions=PUSH, to=(DEVS,), on=("b", "a")),
            make_rule(3, actions=PUSH, to=(ALICE,), on=("a", "b")),
        ],
        [],
    ),
]


@pytest.mark.parametrize(("old", "new", "lines"), [row[1:] for row in LINES], ids=[row[0] for row in LINES])
def test_lines(old: list[Rule], new: list[Rule], lines: list[str]) -> None:
    assert render(diff(PolicySet(tuple(old)), PolicySet(tuple(new)))) == lines


@given(rule_lists)
def test_of_rules_with_themselves_it_is_empty(rules: list[Rule]) -> None:
    assert diff(PolicySet(tuple(rules)), PolicySet(tuple(reversed(rules)))) == ()


@given(rule_lists, rule_lists)
def test_the_way_back_loses_what_the_way_there_gains(old: list[Rule], new: list[Rule]) -> None:
    there, back = (diff(PolicySet(tuple(one)), PolicySet(tuple(other))) for one, other in ((old, new), (new, old)))
    assert {(change.within, change.denied) for change in there if change.gains} == {
        (change.within, change.denied) for change in back if not change.gains
    }


@more_examples(3)
@given(unconditional_rule_lists, unconditional_rule_lists, unconditional_rule_lists, principals, accesses, tags)
def test_it_predicts_every_decision(
    both: list[Rule], old: list[Rule], new: list[Rule], principal: Principal, access: Access, tag: str | None
) -> None:
    before, after = PolicySet((*both, *old)), PolicySet((*both, *new))
    changes = diff(before, after)
    for single in expand(access):
        target = find_target(principal, single, tag)
        assert not isinstance(target, str)
        was, will_be = (decide(policies, principal, single, tag=tag).allowed for policies in (before, after))
        predicted = {change.gains for change in changes if change.includes(target)}
        assert predicted == (set() if was is will_be else {will_be})


@more_examples(3)
@given(
    unconditional_rule_lists,
    unconditional_rule_lists,
    unconditional_rule_lists,
    principals,
    repositories,
    tags,
    served_actions,
)
def test_it_predicts_what_is_decided_where_a_request_is_served(
    both: list[Rule],
    old: list[Rule],
    new: list[Rule],
    principal: Principal,
    repository: str,
    tag: str | None,
    action: Action,
) -> None:
    before, after = PolicySet((*both, *old)), PolicySet((*both, *new))
    was, will_be = (
        decide_served(policies, principal, action, repository, tag=tag, now=None).allowed
        for policies in (before, after)
    )
    target = Target(action, tuple(repository.split("/")), principal, tag)
    predicted = {change.gains for change in diff(before, after) if change.includes(target)}
    assert predicted == (set() if was is will_be else {will_be})
