import pytest
from hypothesis import given

from authproxy.access import Access, pull, push
from authproxy.policy.decide import decide
from authproxy.policy.model import SIGNED_IN, Action, Effect, PolicySet, Rule, SubjectKey
from authproxy.policy.serve_time import allows_every_tag, decide_in_full, decide_served
from authproxy.principal import Principal
from tests.unit.policy.builders import make_rule, principals, repositories, rule_lists, served_actions, tags

ALICE = Principal("alice", frozenset({"devs"}))
DENY = Effect.DENY
PULL, PUSH, DELETE = (frozenset([action]) for action in (Action.PULL, Action.PUSH, Action.DELETE))
CREATE, OVERWRITE = frozenset([Action.CREATE]), frozenset([Action.OVERWRITE])
ALL = make_rule(1)
IMMUTABLE = make_rule(2, effect=DENY, actions=OVERWRITE | DELETE, on=("team/**",), tags=("v*",))
OTHERS = SubjectKey("user", "bob")
STOP = make_rule(6, effect=DENY, tags=("v*", "w*"))

ROWS = [
    ("what no rule is about", [ALL], Action.PUSH, "v1", "rule 1"),
    ("nothing allowed", [], Action.PUSH, "v1", None),
    ("overwriting a tag that may be", [ALL, IMMUTABLE], Action.OVERWRITE, "latest", ""),
    ("overwriting one that must stay", [ALL, IMMUTABLE], Action.OVERWRITE, "v1", "rule 2"),
    ("deleting one that must stay", [ALL, IMMUTABLE], Action.DELETE, "v1", "rule 2"),
    ("deleting by digest, with no tag known", [ALL, IMMUTABLE], Action.DELETE, None, "rule 1"),
    ("pushing one that must stay, for the first time", [ALL, IMMUTABLE], Action.PUSH, "v1", "rule 1"),
    ("overwriting is not denied by who may not push", [], Action.OVERWRITE, "v1", ""),
    ("creating", [ALL], Action.CREATE, None, ""),
    ("creating where a rule denies it", [make_rule(3, effect=DENY, actions=CREATE)], Action.CREATE, None, "rule 3"),
    ("a deny of push says nothing of what it hides", [make_rule(4, effect=DENY)], Action.CREATE, None, ""),
    ("an allow of some tags", [make_rule(5, actions=PUSH, tags=("dev-*",))], Action.PUSH, "dev-1", "rule 5"),
    ("an allow of other tags", [make_rule(5, actions=PUSH, tags=("dev-*",))], Action.PUSH, "v1", None),
    ("an allow of some tags is one of blobs", [make_rule(5, tags=("dev-*",))], Action.PUSH, None, "rule 5"),
    ("a deny of some tags is none of blobs", [ALL, STOP], Action.PULL, None, "rule 1"),
    ("a deny of some tags", [ALL, STOP], Action.PULL, "w1", "rule 6"),
]


@pytest.mark.parametrize(("rules", "action", "tag", "rule"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_served(rules: list[Rule], action: Action, tag: str | None, rule: str | None) -> None:
    """The last column is the name of the rule that decides; "" where it is allowed by none, None where denied so."""
    decision = decide_served(PolicySet(tuple(rules)), ALICE, action, "team/app", tag=tag, now=None)
    if decision.rule is None:
        assert (decision.allowed, decision.reason) == (
            (False, "no rule allows it") if rule is None else (True, "no rule denies it")
        )
    else:
        assert (decision.rule.name, decision.allowed) == (rule, decision.rule.effect is Effect.ALLOW)


FULL = [
    ("push is needed", [make_rule(1, actions=PULL)], "overwrite", "v1", "no rule allows it"),
    ("push is enough", [ALL], "overwrite", "v1", "allowed by"),
    ("push to that tag", [make_rule(1, actions=PUSH, tags=("dev",))], "overwrite", "v1", "no rule allows it"),
    ("denied", [ALL, IMMUTABLE], "overwrite", "v1", "denied by"),
    ("another tag is not", [ALL, IMMUTABLE], "overwrite", "latest", "allowed by"),
    ("push itself", [ALL, IMMUTABLE], "push", "v1", "allowed by"),
    ("the name is still looked at", [ALL], "create", None, "allowed by"),
]


@pytest.mark.parametrize(("rules", "action", "tag", "reason"), [row[1:] for row in FULL], ids=[row[0] for row in FULL])
def test_in_full(rules: list[Rule], action: str, tag: str | None, reason: str) -> None:
    access = Access("repository", "team/app", action)
    assert decide_in_full(PolicySet(tuple(rules)), ALICE, access, tag=tag).reason.startswith(reason)


def test_a_name_that_is_none_is_never_allowed() -> None:
    assert not decide_in_full(PolicySet((ALL,)), ALICE, Access("repository", "Team", "create")).allowed


EVERY_TAG = [
    ("nothing allowed", [], False),
    ("everything allowed", [ALL], True),
    ("an allow of some tags", [make_rule(5, tags=("dev-*",))], False),
    ("a deny of some tags", [ALL, STOP], False),
    ("a deny of other actions", [ALL, IMMUTABLE], True),
    ("a deny of some tags, to others", [ALL, make_rule(6, effect=DENY, to=(OTHERS,), tags=("v*",))], True),
    ("a deny of some tags, elsewhere", [ALL, make_rule(6, effect=DENY, on=("other/**",), tags=("v*",))], True),
    ("a deny", [ALL, make_rule(6, effect=DENY)], False),
    ("an allow under a condition that can't be decided", [make_rule(1, when="time.getHours() < 12")], False),
]


@pytest.mark.parametrize(("rules", "allowed"), [row[1:] for row in EVERY_TAG], ids=[row[0] for row in EVERY_TAG])
def test_whether_every_tag_is_allowed(rules: list[Rule], *, allowed: bool) -> None:
    assert allows_every_tag(PolicySet(tuple(rules)), ALICE, Action.PULL, "team/app", now=None) == allowed


@given(rule_lists, principals, repositories, tags, served_actions)
def test_if_every_tag_is_allowed_each_is(
    rules: list[Rule], principal: Principal, repository: str, tag: str | None, action: Action
) -> None:
    policies = PolicySet(tuple(rules))
    if allows_every_tag(policies, principal, action, repository, now=None):
        assert decide_served(policies, principal, action, repository, tag=tag, now=None).allowed


ASKS = [
    ("no such rule", [ALL], {}),
    ("overwrite", [make_rule(1, effect=DENY, actions=OVERWRITE)], {"push", "overwrite"}),
    ("create", [make_rule(1, effect=DENY, actions=CREATE)], {"push", "create"}),
    ("a tag", [make_rule(1, actions=PULL, tags=("v*",))], {"pull"}),
    ("delete and overwrite of a tag", [IMMUTABLE], {"push", "overwrite", "delete"}),
    ("elsewhere, by the first segment", [make_rule(1, on=("other/**",), tags=("v*",))], {}),
    ("elsewhere, by the last segment", [make_rule(1, on=("**/other",), tags=("v*",))], {}),
    ("here, by the last segment", [make_rule(1, on=("**/app",), tags=("v*",))], {"pull", "push", "delete"}),
]


@pytest.mark.parametrize(("rules", "actions"), [row[1:] for row in ASKS], ids=[row[0] for row in ASKS])
def test_where_a_tag_is_asked_for(rules: list[Rule], actions: set[str]) -> None:
    policies = PolicySet(tuple(rules))
    assert {action for action in Action if policies.asks_for_tag(action, "team/app")} == set(actions)


def test_a_policy_says_whether_anything_is_decided_where_it_is_served() -> None:
    assert not PolicySet((ALL, make_rule(2, to=(SIGNED_IN,), effect=DENY))).is_decided_where_served
    assert PolicySet((ALL, IMMUTABLE)).is_decided_where_served


@given(rule_lists, principals, repositories, tags, served_actions)
def test_where_no_tag_is_asked_for_the_token_says_all(
    rules: list[Rule], principal: Principal, repository: str, tag: str | None, action: Action
) -> None:
    policies = PolicySet(tuple(rules))
    if policies.asks_for_tag(action, repository):
        return
    served = decide_served(policies, principal, action, repository, tag=tag, now=None)
    if action in (Action.CREATE, Action.OVERWRITE):
        assert served.allowed
    else:
        assert served == decide(policies, principal, Access("repository", repository, action))


@given(rule_lists, principals, repositories, tags)
def test_where_push_asks_for_nothing_nothing_that_it_hides_is_denied(
    rules: list[Rule], principal: Principal, repository: str, tag: str | None
) -> None:
    policies = PolicySet(tuple(rules))
    if policies.asks_for_tag(Action.PUSH, repository):
        return
    for action in (Action.CREATE, Action.OVERWRITE):
        assert decide_served(policies, principal, action, repository, tag=tag, now=None).allowed


@given(rule_lists, principals, repositories, tags, served_actions)
def test_a_deny_wins_over_whatever_is_served(
    rules: list[Rule], principal: Principal, repository: str, tag: str | None, action: Action
) -> None:
    stop = make_rule(10**7, effect=DENY, actions=frozenset(Action) - {Action.CATALOG})
    assert not decide_served(PolicySet((*rules, stop)), principal, action, repository, tag=tag, now=None).allowed


def test_groups_decide_here_too() -> None:
    policies = PolicySet((ALL, make_rule(2, effect=DENY, actions=OVERWRITE, to=(SubjectKey("group", "devs"),))))
    for principal, is_allowed in ((ALICE, False), (Principal("bob"), True)):
        assert decide_in_full(policies, principal, push("a")._replace(action="overwrite")).allowed is is_allowed
        assert decide_in_full(policies, principal, pull("a")).allowed
