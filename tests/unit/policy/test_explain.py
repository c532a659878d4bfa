from pathlib import Path

import pytest
from hypothesis import given

from authproxy.access import CATALOG, Access, pull, push
from authproxy.policy.decide import decide, expand
from authproxy.policy.explain import MAX_NEAR, explain, render
from authproxy.policy.load import load_policies
from authproxy.policy.model import ANONYMOUS, ANY_ROBOT, SIGNED_IN, Effect, PolicySet, Rule, SubjectKey
from authproxy.principal import ANONYMOUS as NOBODY
from authproxy.principal import Principal
from tests.unit.policy.builders import accesses, make_rule, principals, rule_lists, tags

POLICY = """\
version: 1
rules:
  - name: own space
    allow: [pull, push]
    to: {signed-in: true}
    on: {repositories: ["{user}/**"]}
  - name: team
    allow: [push]
    to: {groups: [team]}
    on: {repositories: ["team/**"]}
  - name: frozen
    description: This space is frozen.
    deny: [push]
    to: {everyone: true}
    on: {repositories: ["*/frozen"]}
  - name: list
    allow: [catalog]
    to: {groups: [ops]}
"""

ALICE = Principal("alice")
OWN = '"own space" (allow pull, push to signed-in on {user}/**)'
TEAM = '"team" (allow push to group team on team/**)'
LIST = '"list" (allow catalog to group ops on the registry)'
NO_PLACE = "the name 'Alice' is not a path segment of a repository name, so {user} matches nothing"
RELEASES = """\
version: 1
rules:
  - name: team
    allow: [push]
    to: {users: [alice]}
    on: {repositories: ["team/**"], tags: ["v*", dev]}
  - name: releases stay
    description: Push the next number.
    deny: [overwrite]
    to: {everyone: true}
    on: {repositories: ["**"], tags: ["v*"]}
"""
TAGGED_TEAM = '"team" (allow push to user alice on team/** with tags v*, dev)'

TAGGED = [
    (
        "a tag that stays",
        "overwrite",
        "v1",
        [
            "alice asks repository:team/app:overwrite with tag v1",
            '  denied by p.yaml:7 "releases stay"',
            "  it says: Push the next number.",
            f"  near: p.yaml:3 {TAGGED_TEAM}: it would allow this, but a deny always wins",
        ],
    ),
    (
        "a tag that does not",
        "overwrite",
        "dev",
        ["alice asks repository:team/app:overwrite with tag dev", '  allowed by p.yaml:3 "team"'],
    ),
    (
        "another tag",
        "push",
        "x",
        [
            "alice asks repository:team/app:push with tag x",
            "  denied: no rule allows it",
            f"  near: p.yaml:3 {TAGGED_TEAM}: the tag x does not match",
        ],
    ),
    (
        "no tag",
        "create",
        None,
        ["alice asks repository:team/app:create", '  allowed by p.yaml:3 "team"'],
    ),
]


@pytest.mark.parametrize(("action", "tag", "lines"), [row[1:] for row in TAGGED], ids=[row[0] for row in TAGGED])
def test_lines_about_tags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, tag: str | None, lines: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_text(RELEASES, encoding="utf-8")
    policies = load_policies(Path("p.yaml"))
    (explanation,) = explain(policies, ALICE, Access("repository", "team/app", action), tag=tag)
    assert render(explanation) == lines


NEAR_5 = '"rule 5" (allow pull, push, delete to everyone on team/**): the repository does not match'

LINES = [
    (
        "allowed",
        ALICE,
        push("alice/app"),
        ["alice asks repository:alice/app:push", '  allowed by p.yaml:3 "own space"'],
    ),
    (
        "no rule",
        ALICE,
        push("bob/app"),
        [
            "alice asks repository:bob/app:push",
            "  denied: no rule allows it",
            f"  near: p.yaml:3 {OWN}: the repository does not match",
        ],
    ),
    (
        "another action",
        ALICE,
        Access("repository", "alice/app", "delete"),
        [
            "alice asks repository:alice/app:delete",
            "  denied: no rule allows it",
            f"  near: p.yaml:3 {OWN}: delete is not among its actions",
        ],
    ),
    (
        "another group, and rules about the caller come first",
        ALICE,
        push("team/app"),
        [
            "alice asks repository:team/app:push",
            "  denied: no rule allows it",
            f"  near: p.yaml:3 {OWN}: the repository does not match",
            f"  near: p.yaml:7 {TEAM}: alice is not in the group team",
        ],
    ),
    (
        "a deny says what it is for, and what it overrules",
        ALICE,
        push("alice/frozen"),
        [
            "alice asks repository:alice/frozen:push",
            '  denied by p.yaml:11 "frozen"',
            "  it says: This space is frozen.",
            f"  near: p.yaml:3 {OWN}: it would allow this, but a deny always wins",
        ],
    ),
    (
        "a name that cannot be placed",
        Principal("Alice"),
        pull("alice/app"),
        [
            "Alice asks repository:alice/app:pull",
            "  denied: no rule allows it",
            f"  near: p.yaml:3 {OWN}: {NO_PLACE}",
        ],
    ),
    (
        "anonymous",
        NOBODY,
        push("team/app"),
        [
            "anonymous asks repository:team/app:push",
            "  denied: no rule allows it",
            f"  near: p.yaml:7 {TEAM}: anonymous is not in the group team",
        ],
    ),
    (
        "the catalog",
        ALICE,
        CATALOG,
        [
            "alice asks registry:catalog:*",
            "  denied: no rule allows it",
            f"  near: p.yaml:16 {LIST}: alice is not in the group ops",
        ],
    ),
    (
        "no repository name",
        ALICE,
        pull("Alice/app"),
        ["alice asks repository:Alice/app:pull", "  denied: 'Alice/app' is not a repository name"],
    ),
]


@pytest.fixture
def policies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PolicySet:
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_text(POLICY, encoding="utf-8")
    return load_policies(Path("p.yaml"))


@pytest.mark.parametrize(("principal", "access", "lines"), [row[1:] for row in LINES], ids=[row[0] for row in LINES])
def test_lines(policies: PolicySet, principal: Principal, access: Access, lines: list[str]) -> None:
    (explanation,) = explain(policies, principal, access)
    assert render(explanation) == lines


def test_a_star_is_explained_action_by_action(policies: PolicySet) -> None:
    explanations = explain(policies, ALICE, Access("repository", "alice/frozen", "*"))
    assert [(one.access.action, one.decision.allowed) for one in explanations] == [
        ("pull", True),
        ("push", False),
        ("delete", False),
    ]


def test_only_the_nearest_rules_are_printed() -> None:
    rules = tuple(make_rule(i, on=("team/**",)) for i in range(1, MAX_NEAR + 3))
    (explanation,) = explain(PolicySet(rules), ALICE, pull("a"))
    assert len(explanation.near) == MAX_NEAR + 2
    assert render(explanation)[-2:] == [f"  near: policies/test.yaml:5 {NEAR_5}", "  near: 2 more"]


LACKS = [
    ("{group}/**", Principal("bob", frozenset({"A"})), "no group of bob is a path segment of a repository name"),
    (
        "{claims.p}/**",
        Principal("bob", claims={"p": "a/b"}),
        "bob has no claim p that could be part of a repository name",
    ),
    (
        "{claims.p:path}",
        Principal("bob", claims={"p": "A"}),
        "bob has no claim p that could be part of a repository name",
    ),
]


@pytest.mark.parametrize(("glob", "principal", "lack"), LACKS)
def test_a_placeholder_that_stands_for_nothing_is_told(glob: str, principal: Principal, lack: str) -> None:
    (explanation,) = explain(PolicySet((make_rule(on=(glob,)),)), principal, pull("a"))
    (near,) = explanation.near
    assert near.why_not == f"{lack}, so {glob.removesuffix('/**')} matches nothing"


def test_a_rule_that_misses_by_two_things_is_not_near() -> None:
    far = make_rule(to=(SubjectKey("user", "bob"),), on=("team/**",))
    (explanation,) = explain(PolicySet((far,)), ALICE, pull("a"))
    assert explanation.near == ()


@given(rule_lists, principals, accesses, tags)
def test_agrees_with_the_decision(rules: list[Rule], principal: Principal, access: Access, tag: str | None) -> None:
    policies = PolicySet(tuple(rules))
    explanations = explain(policies, principal, access, tag=tag)
    decisions = [decide(policies, principal, single, tag=tag) for single in expand(access)]
    assert [one.decision for one in explanations] == decisions
    for one in explanations:
        assert (render(one)[1].strip().startswith("allowed")) == one.decision.allowed
        if one.decision.allowed:
            assert one.near == ()
        overruled = [near for near in one.near if near.why_not == "it would allow this, but a deny always wins"]
        # What is near is overruled exactly where a deny decided.
        assert not overruled or (one.decision.rule is not None and one.decision.rule.effect is Effect.DENY)


NOT_INCLUDED = [
    ((SubjectKey("user", "bob"),), "alice is not bob"),
    ((SubjectKey("robot", "ci"),), "alice is not the robot ci"),
    ((ANY_ROBOT,), "alice is not a robot"),
    ((SubjectKey("group", "ops"),), "alice is not in the group ops"),
    ((SubjectKey("group", "ops"), SubjectKey("group", "devs")), "alice is in none of the groups devs, ops"),
    ((SubjectKey("claim", "x", "project"),), "alice has no claim project=x"),
    ((ANONYMOUS,), "alice is not anonymous"),
    ((SubjectKey("user", "bob"), SubjectKey("group", "ops")), "alice is none of: group ops, user bob"),
]


@pytest.mark.parametrize(("to", "sentence"), NOT_INCLUDED, ids=[row[1] for row in NOT_INCLUDED])
def test_a_rule_for_others_says_who_they_are(to: tuple[SubjectKey, ...], sentence: str) -> None:
    (explanation,) = explain(PolicySet((make_rule(to=to),)), ALICE, pull("a"))
    assert [near.why_not for near in explanation.near] == [sentence]


def test_a_rule_for_those_signed_in_says_so_to_an_anonymous_caller() -> None:
    (explanation,) = explain(PolicySet((make_rule(to=(SIGNED_IN,)),)), NOBODY, pull("a"))
    assert [near.why_not for near in explanation.near] == ["anonymous is not signed in"]
