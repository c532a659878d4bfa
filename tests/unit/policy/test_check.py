import pytest
from hypothesis import given

from authproxy.access import Access
from authproxy.policy.cases import Case
from authproxy.policy.check import check
from authproxy.policy.decide import decide
from authproxy.policy.load import load_all
from authproxy.policy.model import ANONYMOUS, ANY_ROBOT, SIGNED_IN, Action, Effect, PolicySet, Rule, SubjectKey
from authproxy.policy.serve_time import decide_served
from authproxy.principal import Principal
from tests.support.binaries import ROOT
from tests.unit.policy.builders import accesses, make_rule, principals, repositories, rule_lists, served_actions, tags

DENY = Effect.DENY
PULL = frozenset([Action.PULL])
PUSH = frozenset([Action.PUSH])
ALICE, DEVS = SubjectKey("user", "alice"), SubjectKey("group", "devs")


def name(line: int) -> str:
    return f'policies/test.yaml:{line} "rule {line}"'


FINDINGS = [
    ("nothing is in vain", [make_rule(1, on=("a/**",)), make_rule(2, on=("b/**",))], []),
    (
        "an allow contained in another",
        [make_rule(1), make_rule(2, actions=PULL, to=(DEVS,), on=("a/*",))],
        [f"{name(2)}: it changes nothing: {name(1)} allows all of it"],
    ),
    (
        "of two that say the same the first is kept",
        [make_rule(1), make_rule(2)],
        [f"{name(2)}: it changes nothing: {name(1)} allows all of it"],
    ),
    (
        "an allow that a deny makes void",
        [make_rule(1, actions=PULL, to=(ALICE,), on=("a/b",)), make_rule(2, effect=DENY, on=("a/**",))],
        [f"{name(1)}: it never allows anything: {name(2)} denies all of it"],
    ),
    (
        "a deny contained in another",
        [make_rule(1, effect=DENY, to=(SIGNED_IN,)), make_rule(2, effect=DENY, to=(DEVS,), on=("{user}/**",))],
        [f"{name(2)}: it changes nothing: {name(1)} denies all of it"],
    ),
    (
        "covered by two together",
        [
            make_rule(1, actions=PULL, on=("a/**",)),
            make_rule(2, actions=PUSH, on=("a/**",)),
            make_rule(3, actions=PULL | PUSH, on=("a/b",)),
        ],
        [f"{name(3)}: it changes nothing: {name(1)} and {name(2)} together allow all of it"],
    ),
    (
        "a user's own space by name",
        [make_rule(1, to=(SIGNED_IN,), on=("{user}/**",)), make_rule(2, to=(ALICE,), on=("alice/app",))],
        [f"{name(2)}: it changes nothing: {name(1)} allows all of it"],
    ),
    (
        "another user's space is not one's own",
        [make_rule(1, to=(SIGNED_IN,), on=("{user}/**",)), make_rule(2, to=(ALICE,), on=("bob/app",))],
        [],
    ),
    ("a shorter lifetime is no vain rule", [make_rule(1), make_rule(2, to=(DEVS,), lifetime_s=60)], []),
    (
        "a longer lifetime is one",
        [make_rule(1, lifetime_s=60), make_rule(2, to=(DEVS,), lifetime_s=61)],
        [f"{name(2)}: it changes nothing: {name(1)} allows all of it"],
    ),
    ("a part is not all of it", [make_rule(1, on=("a/**",)), make_rule(2, on=("a/b", "b"))], []),
    (
        "a part of the callers is not all",
        [make_rule(1, to=(SIGNED_IN,)), make_rule(2)],
        [f"{name(1)}: it changes nothing: {name(2)} allows all of it"],
    ),
    (
        "the catalog",
        [
            make_rule(1, actions=frozenset([Action.CATALOG]), on=()),
            make_rule(2, actions=frozenset([Action.CATALOG]), on=(), to=(DEVS,)),
        ],
        [f"{name(2)}: it changes nothing: {name(1)} allows all of it"],
    ),
    (
        "a robot among all of them",
        [make_rule(1, to=(ANY_ROBOT,)), make_rule(2, to=(SubjectKey("robot", "ci"),))],
        [f"{name(2)}: it changes nothing: {name(1)} allows all of it"],
    ),
    (
        "a robot that is named as a user",
        [make_rule(1, to=(ALICE,)), make_rule(2, to=(SubjectKey("robot", "alice"),))],
        [f"{name(2)}: it changes nothing: {name(1)} allows all of it"],
    ),
    (
        "a user is not a robot",
        [make_rule(1, to=(SubjectKey("robot", "alice"),)), make_rule(2, to=(ALICE,))],
        [f"{name(1)}: it changes nothing: {name(2)} allows all of it"],
    ),
    (
        "some tags of all",
        [make_rule(1), make_rule(2, actions=PUSH, tags=("v*",))],
        [f"{name(2)}: it changes nothing: {name(1)} allows all of it"],
    ),
    (
        "some tags of some",
        [make_rule(1, effect=DENY, tags=("v*",)), make_rule(2, effect=DENY, actions=PUSH, tags=("v1", "v2*"))],
        [f"{name(2)}: it changes nothing: {name(1)} denies all of it"],
    ),
    ("other tags", [make_rule(1, tags=("v*",)), make_rule(2, tags=("*-rc",))], []),
    (
        "all tags are not what has none",
        [make_rule(1, effect=DENY, tags=("*",)), make_rule(2, effect=DENY)],
        [f"{name(1)}: it changes nothing: {name(2)} denies all of it"],
    ),
    (
        "an allow of tags that are denied still lets blobs be pushed",
        [make_rule(1, actions=PUSH, tags=("v1",)), make_rule(2, effect=DENY, tags=("v*",))],
        [],
    ),
    (
        "tags of what is denied whole",
        [make_rule(1, actions=PUSH, tags=("v1",)), make_rule(2, effect=DENY)],
        [f"{name(1)}: it never allows anything: {name(2)} denies all of it"],
    ),
    (
        "what push hides is something else than push",
        [make_rule(1), make_rule(2, effect=DENY, actions=frozenset([Action.OVERWRITE]), tags=("v*",))],
        [],
    ),
    (
        "a glob that no repository matches",
        [make_rule(1, on=("team/.*",))],
        [f"{name(1)}: no repository name can match team/.*; change it or remove it"],
    ),
    (
        "nobody has a name to put in",
        [make_rule(1, to=(ANONYMOUS, SubjectKey("user", "No Path")), on=("{user}/**",))],
        [f"{name(1)}: no caller that it is about has a name that fits into {{user}}/**: it matches nothing"],
    ),
]


@pytest.mark.parametrize(("rules", "findings"), [row[1:] for row in FINDINGS], ids=[row[0] for row in FINDINGS])
def test_findings(rules: list[Rule], findings: list[str]) -> None:
    assert [str(finding) for finding in check(PolicySet(tuple(rules)))] == findings


def test_groups_that_nobody_is_in_are_named_where_groups_are_known() -> None:
    policies = PolicySet((make_rule(1, to=(DEVS, SubjectKey("group", "ops"))),))
    assert check(policies) == ()
    assert [str(finding) for finding in check(policies, groups={"ops"})] == [
        f'{name(1)}: the users files have no user in the group "devs"'
    ]


def test_robots_that_no_users_file_has_are_named_where_robots_are_known() -> None:
    policies = PolicySet((make_rule(1, to=(SubjectKey("robot", "ci"), SubjectKey("robot", "bot"))),))
    assert check(policies) == ()
    assert [str(finding) for finding in check(policies, robots={"bot"})] == [
        f'{name(1)}: there is no robot "ci" in the users files'
    ]


def test_cases_that_name_a_rule_that_is_not_there() -> None:
    case = Case(Principal("x"), "repository:a:pull", Effect.DENY, "gone", "", "p.yaml", 9)
    assert [str(finding) for finding in check(PolicySet((make_rule(1),)), [case])] == [
        'p.yaml:9: x asks repository:a:pull: there is no rule "gone"'
    ]


def test_the_default_policy_has_nothing_in_vain() -> None:
    loaded = load_all(ROOT / "policies/default.yaml")
    assert check(loaded.policies, loaded.cases, groups={"admins"}) == ()


@given(rule_lists, principals, accesses, repositories, served_actions, tags)
def test_rules_in_vain_can_be_taken_out_all_together(
    rules: list[Rule], principal: Principal, access: Access, repository: str, action: Action, tag: str | None
) -> None:
    rules = list({(rule.file, rule.line): rule for rule in rules}.values())
    in_vain = {
        (finding.file, finding.line)
        for finding in check(PolicySet(tuple(rules)))
        if "it changes nothing" in finding.sentence or "it never allows" in finding.sentence
    }
    kept = tuple(rule for rule in rules if (rule.file, rule.line) not in in_vain)
    answers = [decide(PolicySet(some), principal, access, tag=tag) for some in (tuple(rules), kept)]
    assert answers[0].allowed is answers[1].allowed
    assert answers[0].lifetime_s == answers[1].lifetime_s
    served = [
        decide_served(PolicySet(some), principal, action, repository, tag=tag, now=None)
        for some in (tuple(rules), kept)
    ]
    assert served[0].allowed is served[1].allowed
