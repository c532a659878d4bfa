import random
from fnmatch import fnmatchcase
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.access import CATALOG, Access, delete, parse_scopes, pull, push
from authproxy.policy.decide import decide, expand, find_target, holds
from authproxy.policy.model import (
    ANONYMOUS,
    ANY_ROBOT,
    EVERYONE,
    SIGNED_IN,
    Action,
    Effect,
    PolicySet,
    Rule,
    SubjectKey,
    Target,
)
from authproxy.principal import ANONYMOUS as NOBODY
from authproxy.principal import Principal
from tests.unit.policy.builders import TAGS, accesses, make_rule, principals, rule_lists, tags

ALICE = Principal("alice", frozenset({"devs"}))
BOT = Principal("bot", is_robot=True)
CI = Principal("ci", claims={"project": "web", "refs": ["main", "dev"], "id": 7, "protected": True, "object": {}})

SUBJECTS = [
    ("by name", SubjectKey("user", "alice"), ALICE, True),
    ("by another name", SubjectKey("user", "bob"), ALICE, False),
    ("by group", SubjectKey("group", "devs"), ALICE, True),
    ("by another group", SubjectKey("group", "ops"), ALICE, False),
    ("a group of the user's name", SubjectKey("group", "alice"), ALICE, False),
    ("a user of the group's name", SubjectKey("user", "devs"), ALICE, False),
    ("names are exact", SubjectKey("user", "Alice"), ALICE, False),
    ("signed in", SIGNED_IN, ALICE, True),
    ("everyone, signed in", EVERYONE, ALICE, True),
    ("anonymous is not signed in", ANONYMOUS, ALICE, False),
    ("anonymous", ANONYMOUS, NOBODY, True),
    ("everyone, anonymous", EVERYONE, NOBODY, True),
    ("signed in is not anonymous", SIGNED_IN, NOBODY, False),
    ("a robot by name", SubjectKey("robot", "bot"), BOT, True),
    ("another robot", SubjectKey("robot", "other"), BOT, False),
    ("any robot", ANY_ROBOT, BOT, True),
    ("a robot as a user", SubjectKey("user", "bot"), BOT, True),
    ("a robot is signed in", SIGNED_IN, BOT, True),
    ("a user of a robot's name", SubjectKey("robot", "alice"), ALICE, False),
    ("a user is not any robot", ANY_ROBOT, ALICE, False),
    ("a robot without a name is nobody", ANY_ROBOT, Principal("", is_robot=True), False),
    ("by a claim", SubjectKey("claim", "web", "project"), CI, True),
    ("by one of a claim's values", SubjectKey("claim", "main", "refs"), CI, True),
    ("by a claim that is a number", SubjectKey("claim", "7", "id"), CI, True),
    ("by a claim that is true", SubjectKey("claim", "true", "protected"), CI, True),
    ("by another value", SubjectKey("claim", "app", "project"), CI, False),
    ("by another claim", SubjectKey("claim", "web", "refs"), CI, False),
    ("a group is no claim", SubjectKey("claim", "devs", "groups"), ALICE, False),
    ("a claim is no group", SubjectKey("group", "web"), CI, False),
    ("a claim that is an object", SubjectKey("claim", "{}", "object"), CI, False),
    ("a group of somebody without a name", SubjectKey("group", "devs"), Principal("", frozenset({"devs"})), False),
]


@pytest.mark.parametrize(
    ("subject", "principal", "is_meant"), [row[1:] for row in SUBJECTS], ids=[row[0] for row in SUBJECTS]
)
def test_subject(subject: SubjectKey, principal: Principal, is_meant: bool) -> None:  # noqa: FBT001  a column
    policies = PolicySet((make_rule(to=(subject,)),))
    assert decide(policies, principal, pull("a/b")).allowed is is_meant


CATALOG_RULE = make_rule(2, actions=frozenset([Action.CATALOG]), on=())

NEVER_GRANTED = [
    ("an unknown type", Access("plugin", "a", "pull")),
    ("an unknown action", Access("repository", "a", "admin")),
    ("an action in capitals", Access("repository", "a", "PULL")),
    ("no action", Access("repository", "a", "")),
    ("catalog as an action on a repository", Access("repository", "a", "catalog")),
    ("another action on the catalog", Access("registry", "catalog", "pull")),
    ("another name of the registry", Access("registry", "other", "*")),
    ("everything on the registry", Access("registry", "*", "*")),
    ("a name in capitals", pull("Team/app")),
    ("a name that leaves its folder", pull("team/../admin")),
    ("a name with an empty segment", pull("team//app")),
    ("a name that ends in a slash", pull("team/")),
    ("a glob as name", pull("**")),
    ("a name with a host", pull("localhost:5000/team/app")),
    ("a name that is too long", pull("a" * 256)),
    ("an empty name", pull("")),
    ("a line break behind the name", pull("team\n")),
    ("everything on a name that is none", Access("repository", "**", "*")),
    ("to create, which no scope can ask for", Access("repository", "a", "create")),
    ("to overwrite, which no scope can ask for", Access("repository", "a", "overwrite")),
]


@pytest.mark.parametrize("access", [row[1] for row in NEVER_GRANTED], ids=[row[0] for row in NEVER_GRANTED])
def test_never_granted(access: Access) -> None:
    decision = decide(PolicySet((make_rule(), CATALOG_RULE)), ALICE, access)
    assert (decision.allowed, decision.rule) == (False, None)
    assert decision.reason not in ("", "no rule allows it")


def test_without_a_rule_everything_is_denied() -> None:
    decision = decide(PolicySet(), ALICE, pull("alice/app"))
    assert (decision.allowed, decision.rule, decision.reason) == (False, None, "no rule allows it")


def test_the_decision_names_file_line_and_rule() -> None:
    allow, deny = make_rule(12), make_rule(30, effect=Effect.DENY, on=("secret/**",))
    policies = PolicySet((allow, deny))
    assert decide(policies, ALICE, pull("a")).reason == 'allowed by policies/test.yaml:12 "rule 12"'
    assert decide(policies, ALICE, pull("secret/a")).reason == 'denied by policies/test.yaml:30 "rule 30"'
    assert decide(policies, ALICE, pull("secret/a")).rule is deny


def test_the_catalog_needs_a_rule_of_its_own() -> None:
    assert not decide(PolicySet((make_rule(),)), ALICE, CATALOG).allowed
    assert decide(PolicySet((CATALOG_RULE,)), ALICE, CATALOG).allowed
    assert not decide(PolicySet((CATALOG_RULE,)), ALICE, pull("a")).allowed


def test_a_denied_catalog_leaves_repositories_alone() -> None:
    deny = make_rule(3, effect=Effect.DENY, actions=frozenset([Action.CATALOG]), on=())
    policies = PolicySet((make_rule(), CATALOG_RULE, deny))
    assert decide(policies, ALICE, CATALOG).rule is deny
    assert decide(policies, ALICE, pull("a")).allowed


def test_a_star_asks_for_all_three_actions() -> None:
    star = Access("repository", "a", "*")
    assert expand(star) == (pull("a"), push("a"), delete("a"))
    assert expand(CATALOG) == (CATALOG,)
    no_deletes = make_rule(2, effect=Effect.DENY, actions=frozenset([Action.DELETE]))
    assert decide(PolicySet((make_rule(),)), ALICE, star).allowed
    assert decide(PolicySet((make_rule(), no_deletes)), ALICE, star).rule is no_deletes


def test_a_class_in_a_scope_changes_nothing() -> None:
    (access,) = parse_scopes(["repository(plugin):a:pull"])
    assert decide(PolicySet((make_rule(),)), ALICE, access).allowed


def test_the_shortest_lifetime_of_the_rules_that_allow_counts() -> None:
    rules = (make_rule(1), make_rule(2, lifetime_s=900, on=("a/**",)), make_rule(3, lifetime_s=60, on=("a/b",)))
    lifetimes = [decide(PolicySet(rules), ALICE, pull(name)).lifetime_s for name in ("x", "a", "a/b")]
    assert lifetimes == [None, 900, 60]
    denied = PolicySet((*rules, make_rule(4, effect=Effect.DENY)))
    assert decide(denied, ALICE, pull("a/b")).lifetime_s is None


def test_a_star_has_the_shortest_lifetime_of_its_actions() -> None:
    rules = (make_rule(1), make_rule(2, lifetime_s=60, actions=frozenset([Action.PUSH])))
    assert decide(PolicySet(rules), ALICE, Access("repository", "a", "*")).lifetime_s == 60


def is_about(rule: Rule, target: Target) -> bool:
    """Read by the letter: where no tag is known, a rule about some of them counts where it allows."""
    globs = rule.resources.tags
    if target.action is not Action.CATALOG and globs:
        if target.tag is None and rule.effect is Effect.DENY:
            return False
        if target.tag is not None and not any(fnmatchcase(target.tag, glob.text) for glob in globs):
            return False
    return rule.resources.include(target)


@given(rule_lists, principals, accesses, tags)
def test_agrees_with_trying_every_rule(
    rules: list[Rule], principal: Principal, access: Access, tag: str | None
) -> None:
    def is_allowed(single: Access) -> bool:
        target = find_target(principal, single, tag)
        assert not isinstance(target, str)
        effects = {
            rule.effect
            for rule in rules
            if rule.subjects.include(principal)
            and target.action in rule.actions
            and is_about(rule, target)
            # What cannot be told denies, and does not allow.
            and holds(rule, target, None) in ((True,) if rule.effect is Effect.ALLOW else (True, None))
        }
        return effects == {Effect.ALLOW}

    decision = decide(PolicySet(tuple(rules)), principal, access, tag=tag)
    assert decision.allowed == all(map(is_allowed, expand(access)))


@given(rule_lists, principals, accesses, tags)
def test_a_deny_always_wins(rules: list[Rule], principal: Principal, access: Access, tag: str | None) -> None:
    denies = (
        make_rule(7, effect=Effect.DENY),
        make_rule(8, effect=Effect.DENY, actions=frozenset([Action.CATALOG]), on=()),
    )
    decision = decide(PolicySet((*rules, *denies)), principal, access, tag=tag)
    assert not decision.allowed
    assert decision.rule is not None
    assert decision.rule.effect is Effect.DENY


@given(rule_lists, rule_lists, principals, accesses, tags)
def test_adding_allows_removes_nothing(
    rules: list[Rule], added: list[Rule], principal: Principal, access: Access, tag: str | None
) -> None:
    allows = [rule for rule in added if rule.effect is Effect.ALLOW]
    if decide(PolicySet(tuple(rules)), principal, access, tag=tag).allowed:
        assert decide(PolicySet((*rules, *allows)), principal, access, tag=tag).allowed


@given(rule_lists, rule_lists, principals, accesses, tags)
def test_adding_denies_gives_nothing(
    rules: list[Rule], added: list[Rule], principal: Principal, access: Access, tag: str | None
) -> None:
    denies = [rule for rule in added if rule.effect is Effect.DENY]
    if decide(PolicySet((*rules, *denies)), principal, access, tag=tag).allowed:
        assert decide(PolicySet(tuple(rules)), principal, access, tag=tag).allowed


@given(rule_lists, principals, accesses, tags, st.randoms())
def test_the_order_of_rules_never_matters(
    rules: list[Rule], principal: Principal, access: Access, tag: str | None, shuffler: random.Random
) -> None:
    rules = list({(rule.file, rule.line): rule for rule in rules}.values())  # no two rules stand at one place
    shuffled = shuffler.sample(rules, len(rules))
    answers = [decide(PolicySet(tuple(order)), principal, access, tag=tag) for order in (rules, shuffled)]
    assert answers[0] == answers[1]


@given(rule_lists, principals, accesses, st.sampled_from(TAGS))
def test_with_no_tag_known_nothing_is_denied_that_some_tag_is_allowed(
    rules: list[Rule], principal: Principal, access: Access, tag: str
) -> None:
    policies = PolicySet(tuple(rules))
    for single in expand(access):
        if decide(policies, principal, single, tag=tag).allowed:
            assert decide(policies, principal, single).allowed


def test_of_several_rules_always_the_same_is_named() -> None:
    rules = (make_rule(9, file="a.yaml"), make_rule(2, to=(SIGNED_IN,)), make_rule(5, file="a.yaml"))
    for order in permutations(rules):
        assert decide(PolicySet(order), ALICE, pull("a")).rule is rules[2]


def test_a_decision_among_many_rules_tries_few() -> None:
    rules = tuple(make_rule(i, to=(SIGNED_IN,), on=(f"team{i}/**",)) for i in range(1, 3001))
    by_group = tuple(make_rule(i, to=(SubjectKey("group", f"g{i}"),)) for i in range(3001, 6001))
    policies = PolicySet(rules + by_group)
    target = find_target(ALICE, pull("team7/app"))
    assert not isinstance(target, str)
    assert list(policies.candidates(target)) == [rules[6]]
