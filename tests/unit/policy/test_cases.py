from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given

from authproxy.access import Access
from authproxy.config.document.tree import parse_document
from authproxy.policy.cases import Case, run_cases
from authproxy.policy.decide import decide
from authproxy.policy.file_schema import parse_policy
from authproxy.policy.junit import to_junit
from authproxy.policy.load import PolicyError, load_all
from authproxy.policy.model import Effect, PolicySet, Rule
from authproxy.policy.request import RequestFacts
from authproxy.principal import Principal
from tests.support.binaries import ROOT
from tests.unit.policy.builders import accesses, make_rule, principals, rule_lists

DEFAULT = ROOT / "policies/default.yaml"
RULES = """\
version: 1
rules:
  - name: own
    allow: [pull, push]
    to: {signed-in: true}
    on: {repositories: ["{user}/**"]}
  - name: also own
    allow: [push]
    to: {groups: [devs]}
    on: {repositories: ["alice/app"]}
  - name: frozen
    deny: [push]
    to: {everyone: true}
    on: {repositories: ["*/frozen"]}
  - name: releases stay
    deny: [overwrite]
    to: {everyone: true}
    on: {repositories: ["**"], tags: ["v*"]}
"""
DENIED = 'denied by p.yaml:11 "frozen"'

HOLDS = [
    ("allowed", "{who: {user: alice}, what: 'repository:alice/app:pull', expected: allow}"),
    ("each of several actions", "{who: {user: alice}, what: 'repository:alice/app:pull,push', expected: allow}"),
    ("denied by none", "{who: {user: alice}, what: 'repository:bob/app:*', expected: deny}"),
    ("a robot, which is a user", "{who: {robot: ci}, what: 'repository:ci/app:pull', expected: allow}"),
    ("anonymous", "{who: {anonymous: true}, what: 'repository:alice/app:pull', expected: deny}"),
    ("the deny is named", "{who: {user: a}, what: 'repository:a/frozen:push', expected: deny, rule: frozen}"),
    (
        "a tag that stays",
        "{who: {user: alice}, what: 'repository:alice/app:overwrite', tag: v1, expected: deny, rule: releases stay}",
    ),
    (
        "its first push",
        "{who: {user: alice}, what: 'repository:alice/app:push,create', tag: v1, expected: allow, rule: own}",
    ),
    ("a tag that may move", "{who: {user: alice}, what: 'repository:alice/app:overwrite', tag: dev, expected: allow}"),
    ("what push hides needs push", "{who: {user: alice}, what: 'repository:bob/app:create', expected: deny}"),
    (
        "any of the rules that decide may be named",
        "{who: {user: alice, groups: [devs]}, what: 'repository:alice/app:push', expected: allow, rule: also own}",
    ),
]

FAILS = [
    (
        "denied instead",
        "{who: {user: alice}, what: 'repository:alice/frozen:pull,push', expected: allow}",
        (f"push: expected allow, but it is {DENIED}",),
    ),
    (
        "each action that is answered otherwise",
        "{who: {user: alice}, what: 'repository:alice/app:*', expected: deny}",
        (
            'pull: expected deny, but it is allowed by p.yaml:3 "own"',
            'push: expected deny, but it is allowed by p.yaml:3 "own"',
        ),
    ),
    (
        "another rule",
        "{who: {user: alice}, what: 'repository:alice/app:push', expected: allow, rule: also own}",
        ('push: expected the rule "also own" to decide, but it is allowed by p.yaml:3 "own"',),
    ),
    (
        "no rule",
        "{who: {user: alice}, what: 'repository:bob/app:push', expected: deny, rule: frozen}",
        ('push: expected the rule "frozen" to decide, but it is denied: no rule allows it',),
    ),
    (
        "a tag that may be moved after all",
        "{who: {user: alice}, what: 'repository:alice/app:overwrite', tag: dev, expected: deny}",
        ('overwrite: expected deny, but it is allowed by p.yaml:3 "own"',),
    ),
    (
        "a rule that does not exist",
        "{who: {user: alice}, what: 'repository:alice/frozen:push', expected: deny, rule: forzen}",
        ('there is no rule "forzen"', f'push: expected the rule "forzen" to decide, but it is {DENIED}'),
    ),
]


def test_claims_of_a_case_are_a_text_or_a_list() -> None:
    document = parse_document(
        f"{RULES}tests:\n  - {{who: {{user: ci, claims: {{project: a/b, refs: [main, 1]}}}},"
        " what: 'repository:a:pull', expected: deny}\n",
        "p.yaml",
    )
    (case,) = parse_policy(document).cases
    assert case.principal.claims == {"project": ("a/b",), "refs": ("main", "1")}


def test_a_case_says_how_it_is_asked() -> None:
    document = parse_document(
        f"{RULES}tests:\n  - {{who: {{user: a}}, what: 'repository:a:pull', expected: deny,"
        " request: {address: '2001:DB8::1', tls: false}}\n",
        "p.yaml",
    )
    (case,) = parse_policy(document).cases
    assert case.request == RequestFacts("2001:db8::1", tls=False)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def faults_of(case: str) -> tuple[str, ...]:
    Path("p.yaml").write_text(f"{RULES}tests:\n  - {case}\n", encoding="utf-8")
    loaded = load_all(Path("p.yaml"))
    (outcome,) = run_cases(loaded.policies, loaded.cases).outcomes
    return outcome.faults


@pytest.mark.parametrize("case", [row[1] for row in HOLDS], ids=[row[0] for row in HOLDS])
def test_holds(case: str) -> None:
    assert faults_of(case) == ()


@pytest.mark.parametrize(("case", "faults"), [row[1:] for row in FAILS], ids=[row[0] for row in FAILS])
def test_fails(case: str, faults: tuple[str, ...]) -> None:
    assert faults_of(case) == faults


REFUSED = [
    (
        "a user and a robot ask",
        "{who: {user: a, robot: a}, what: 'repository:a:pull', expected: deny}",
        "exactly one of user, robot and anonymous",
    ),
    ("nobody asks", "{who: {}, what: 'repository:a:pull', expected: deny}", "who: a case is about one caller"),
    ("two ask", "{who: {user: a, anonymous: true}, what: 'repository:a:pull', expected: deny}", "who: a case is about"),
    (
        "groups of nobody",
        "{who: {anonymous: true, groups: [g]}, what: 'repository:a:pull', expected: deny}",
        "who: a caller without credentials has no groups",
    ),
    (
        "claims of nobody",
        "{who: {anonymous: true, claims: {a: b}}, what: 'repository:a:pull', expected: deny}",
        "who: a caller without credentials has no groups and no claims",
    ),
    ("no scope", "{who: {user: a}, what: 'team/app', expected: deny}", 'what: "team/app" is not a scope'),
    ("two scopes", "{who: {user: a}, what: 'repository:a:pull b:c:d', expected: deny}", "is not a scope"),
    ("no answer", "{who: {user: a}, what: 'repository:a:pull'}", "expected: missing"),
    ("another answer", "{who: {user: a}, what: 'repository:a:pull', expected: yes}", "'allow' or 'deny'"),
    (
        "no address",
        "{who: {user: a}, what: 'repository:a:pull', expected: deny, request: {address: 10.0.0.0/8}}",
        'request.address: "10.0.0.0/8" is not an address; allowed: one such as 10.1.2.3',
    ),
    ("no tag", "{who: {user: a}, what: 'repository:a:pull', tag: 'v1:2', expected: deny}", 'tag: "v1:2" is not a tag'),
    ("a tag of no repository", "{who: {user: a}, what: 'registry:catalog:*', tag: v1, expected: deny}", "has tags"),
    ("a misspelt key", "{who: {user: a}, what: 'repository:a:pull', expected: deny, rul: x}", "rul: unknown key"),
]


@pytest.mark.parametrize(("case", "says"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(case: str, says: str) -> None:
    with pytest.raises(PolicyError, match=r"^p\.yaml:20: tests\.0") as caught:
        faults_of(case)
    assert says in str(caught.value)


def test_rules_that_decide_in_no_case_are_named() -> None:
    own, other, deny = make_rule(1, on=("a",)), make_rule(2, on=("b",)), make_rule(3, effect=Effect.DENY, on=("c",))
    case = Case(Principal("x"), "repository:a:pull", Effect.ALLOW, None, "", "p.yaml", 1)
    assert run_cases(PolicySet((own, other, deny)), [case]).untested == (other, deny)


def test_an_allow_that_is_overruled_has_not_decided() -> None:
    allow, deny = make_rule(1), make_rule(2, effect=Effect.DENY)
    case = Case(Principal("x"), "repository:a:pull", Effect.DENY, None, "", "p.yaml", 1)
    assert run_cases(PolicySet((allow, deny)), [case]).untested == (allow,)


def test_the_cases_of_the_default_policy_hold_and_test_all_its_rules() -> None:
    loaded = load_all(DEFAULT)
    report = run_cases(loaded.policies, loaded.cases)
    assert (report.failed, report.untested) == ((), ())
    assert len(report.outcomes) >= 9


@given(rule_lists, principals, accesses)
def test_a_case_holds_exactly_where_the_rules_decide_so(
    rules: list[Rule], principal: Principal, access: Access
) -> None:
    policies = PolicySet(tuple(rules))
    for expected in Effect:
        (outcome,) = run_cases(policies, [Case(principal, str(access), expected, None, "", "p.yaml", 1)]).outcomes
        if expected is Effect.ALLOW:
            assert (outcome.faults == ()) is decide(policies, principal, access).allowed
        elif decide(policies, principal, access).allowed:
            assert outcome.faults


def test_junit_has_a_suite_for_each_file_and_a_failure_for_each_failed_case() -> None:
    cases = [
        Case(Principal("x"), "repository:a:pull", Effect.ALLOW, None, "", "a.yaml", 3),
        Case(Principal("<x>&"), "repository:a:pull", Effect.DENY, None, "Never.", "a.yaml", 7),
        Case(Principal(""), "repository:b:push", Effect.ALLOW, None, "", "b.yaml", 2),
    ]
    root = ET.fromstring(to_junit(run_cases(PolicySet((make_rule(1),)), cases)))  # noqa: S314  our own text
    suites = [(suite.get("name"), suite.get("tests"), suite.get("failures")) for suite in root]
    assert suites == [("a.yaml", "2", "1"), ("b.yaml", "1", "0")]
    (failure,) = root.iter("failure")
    assert failure.text == 'pull: expected deny, but it is allowed by policies/test.yaml:1 "rule 1"\nNever.'
    assert [case.get("name") for case in root.iter("testcase")] == [
        "3: x asks repository:a:pull → allow",
        "7: <x>& asks repository:a:pull → deny",
        "2: anonymous asks repository:b:push → allow",
    ]
