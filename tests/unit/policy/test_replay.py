"""Asking again: the same rules change nothing, and other rules change exactly what they decide otherwise."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.access import CATALOG, Access, pull, push
from authproxy.policy.decide import decide, expand
from authproxy.policy.model import Action, Effect, PolicySet, Resources, Rule, SubjectKey
from authproxy.policy.replay import ChangedDecision, Past, Replay, Tally, Undecidable, is_all
from authproxy.policy.request import RequestFacts
from authproxy.policy.tags import TagGlob
from authproxy.principal import Principal
from tests.unit.policy import builders
from tests.unit.policy.builders import make_rule

ALICE = Principal("alice", groups=frozenset({"devs"}), source="ldap")
EIGHT = 1_767_340_800.0  # 2026-01-02T08:00:00Z


def made(policies: PolicySet, principal: Principal, access: Access, at: float = EIGHT) -> Past:
    decision = decide(policies, principal, access, now=at)
    return Past(at, principal, access, decision.allowed, decision.reason)


def test_a_decision_that_changes_tells_both_reasons() -> None:
    old = PolicySet((make_rule(1),))
    new = PolicySet((make_rule(1), make_rule(2, effect=Effect.DENY, to=(SubjectKey("group", "devs"),))))
    change = Replay(new).ask(made(old, ALICE, push("team/app")))
    assert isinstance(change, ChangedDecision)
    assert change.past.why == 'allowed by policies/test.yaml:1 "rule 1"'
    assert change.why == 'denied by policies/test.yaml:2 "rule 2"'


def test_another_rule_with_the_same_answer_is_no_change() -> None:
    past = made(PolicySet((make_rule(1),)), ALICE, push("team/app"))
    assert Replay(PolicySet((make_rule(2),))).ask(past) is None


def test_where_no_rule_allows_it_any_more_that_is_the_reason() -> None:
    change = Replay(PolicySet(())).ask(made(PolicySet((make_rule(1),)), ALICE, push("team/app")))
    assert isinstance(change, ChangedDecision)
    assert change.why == "denied: no rule allows it"


def test_a_condition_about_the_time_is_asked_at_that_of_the_decision() -> None:
    from_eight = PolicySet((make_rule(1, when="time.getHours() >= 8"),))
    assert Replay(from_eight).ask(made(from_eight, ALICE, pull("a"), EIGHT)) is None
    assert Replay(from_eight).ask(made(from_eight, ALICE, pull("a"), EIGHT - 1)) is None
    change = Replay(from_eight).ask(Past(EIGHT - 1, ALICE, pull("a"), allowed=True, why="then"))
    assert isinstance(change, ChangedDecision)


@given(st.lists(builders.rules(conditions=builders.CONDITIONS), max_size=6), builders.principals, builders.accesses)
def test_the_same_rules_change_nothing(rules: list[Rule], principal: Principal, access: Access) -> None:
    policies = PolicySet(tuple(rules))
    assert [Replay(policies).ask(made(policies, principal, single)) for single in expand(access)] == [None] * len(
        expand(access)
    )


@given(builders.rule_lists, builders.rule_lists, builders.principals, builders.accesses)
def test_a_change_is_where_the_rules_decide_otherwise(
    old: list[Rule], new: list[Rule], principal: Principal, access: Access
) -> None:
    before, after = PolicySet(tuple(old)), PolicySet(tuple(new))
    for single in expand(access):
        change = Replay(after).ask(made(before, principal, single))
        decisions = [decide(policies, principal, single, now=EIGHT) for policies in (before, after)]
        assert (change is not None) == (decisions[0].allowed is not decisions[1].allowed)
        assert change is None or (isinstance(change, ChangedDecision) and change.now == decisions[1])


OFFICE = 'request.address.inNetwork("10.0.0.0/8") && request.tls'


def test_a_condition_about_the_request_is_asked_with_that_of_the_decision() -> None:
    office = PolicySet((make_rule(1, when=OFFICE),))
    asked = [
        RequestFacts("10.1.2.3", tls=True),
        RequestFacts("10.1.2.3", tls=False),
        RequestFacts("192.0.2.1", tls=True),
    ]
    pasts = [Past(EIGHT, ALICE, pull("a"), allowed=True, why="then", request=request) for request in asked]
    assert [isinstance(Replay(office).ask(past), ChangedDecision) for past in pasts] == [False, True, True]


def test_where_the_request_was_not_kept_what_turns_on_it_cannot_be_told() -> None:
    office = PolicySet((make_rule(1, when=OFFICE), make_rule(2, on=("open/**",))))
    untold = Replay(office).ask(Past(EIGHT, ALICE, pull("a"), allowed=True, why="then"))
    assert isinstance(untold, Undecidable)
    assert untold.why.startswith('the condition of policies/test.yaml:1 "rule 1" reads facts of the request')
    assert Replay(office).ask(Past(EIGHT, ALICE, pull("open/a"), allowed=True, why="then")) is None


@given(
    st.lists(builders.rules(conditions=(OFFICE, "!request.tls", *builders.CONDITIONS)), max_size=6),
    builders.principals,
    builders.accesses,
    st.builds(RequestFacts, st.sampled_from(["", "10.1.2.3", "192.0.2.1"]), st.sampled_from([None, True, False])),
)
def test_what_is_told_without_the_request_is_what_it_would_be_with_it(
    rules: list[Rule], principal: Principal, access: Access, request: RequestFacts
) -> None:
    policies = PolicySet(tuple(rules))
    for single in expand(access):
        decision = decide(policies, principal, single, now=EIGHT, request=request)
        answer = Replay(policies).ask(Past(EIGHT, principal, single, decision.allowed, "then"))
        assert answer is None or isinstance(answer, Undecidable)


STAYS = make_rule(2, effect=Effect.DENY, actions=frozenset({Action.OVERWRITE}), on=("team/**",))
OVERWRITE = Access("repository", "team/app", "overwrite")


def test_a_denied_request_is_asked_again_with_its_tag() -> None:
    tagged = replace(STAYS, resources=Resources(STAYS.resources.repositories, (TagGlob.parse("v*"),)))
    pasts = [Past(EIGHT, ALICE, OVERWRITE, allowed=False, why="then", tag=tag) for tag in ("v1", "dev")]
    answers = [Replay(PolicySet((make_rule(1), tagged))).ask(past) for past in pasts]
    assert [isinstance(answer, ChangedDecision) for answer in answers] == [False, True]


def test_what_push_hides_needs_push_too() -> None:
    past = Past(EIGHT, ALICE, OVERWRITE, allowed=False, why="then", tag="v1")
    assert Replay(PolicySet(())).ask(past) is None
    assert isinstance(Replay(PolicySet((make_rule(1),))).ask(past), ChangedDecision)


TAGGED = PolicySet(
    (
        make_rule(1),
        STAYS,
        make_rule(3, actions=frozenset({Action.CATALOG}), on=()),
    )
)
BEYOND = [
    ("a push where a tag may not be moved", push("team/app"), False),
    ("a push elsewhere", push("other/app"), True),
    ("a pull there", pull("team/app"), True),
    ("the catalog", CATALOG, True),
    ("an action that nobody knows", Access("repository", "team/app", "fly"), True),
]


@pytest.mark.parametrize(("access", "is_it"), [row[1:] for row in BEYOND], ids=[row[0] for row in BEYOND])
def test_a_token_is_all_that_is_decided(access: Access, is_it: bool) -> None:  # noqa: FBT001  a column
    assert is_all(TAGGED, access) is is_it


def test_changes_are_counted_by_who_and_what_and_way() -> None:
    nothing = PolicySet(())
    tally = Tally()
    bob = Principal("bob", source="ldap")
    asked = [(ALICE, push("a"), 3.0), (bob, push("a"), 4.0), (ALICE, push("a"), 5.0), (ALICE, CATALOG, 6.0)]
    for who, access, at in asked:
        change = Replay(nothing).ask(Past(at, who, access, allowed=True, why="then"))
        assert isinstance(change, ChangedDecision)
        tally.add(change)
    groups = tally.by_count()
    assert tally.count == 4
    assert [
        (g.last.past.principal.name, g.last.past.access, g.count, g.first.past.at, g.last.past.at) for g in groups
    ] == [
        ("alice", push("a"), 2, 3.0, 5.0),
        ("alice", CATALOG, 1, 6.0, 6.0),
        ("bob", push("a"), 1, 4.0, 4.0),
    ]
