"""What the policies say to a wish: the grant, the lifetime, the reasons, and what a token carries of its holder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest

from authproxy.access import CATALOG, Access, delete, parse_scopes, pull, push
from authproxy.authorization import Basic, Bearer
from authproxy.client_view import UNKNOWN, ClientView
from authproxy.policy.policies import Policies
from authproxy.principal import ANONYMOUS, Principal
from authproxy.token.request import TokenRequest
from authproxy.wiring.policy import EveryUserEverything, PolicyEvaluator
from tests.support.token_server import World
from tests.support.tokens import START, read

STAR = Access("repository", "a", "*")
WRITTEN = "version: 1\nrules:\n"

Evaluating: TypeAlias = Callable[[str], PolicyEvaluator]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def evaluating(tmp_path: Path) -> Evaluating:
    def evaluator(rules: str) -> PolicyEvaluator:
        path = tmp_path / "rules.yaml"
        path.write_text(WRITTEN + rules, encoding="utf-8")
        return PolicyEvaluator(Policies(path))

    return evaluator


def test_a_wish_is_judged_action_by_action_with_the_rule_or_the_reason(evaluating: Evaluating, tmp_path: Path) -> None:
    evaluator = evaluating("""\
  - {name: own space, allow: [pull, push], to: {users: [alice]}, on: {repositories: ["{user}/**"]}}
""")
    wish = (*parse_scopes(["repository:alice/app:*,pull", "repository:bob/app:pull"]), CATALOG)
    decision = evaluator.decide(Principal("alice"), wish, UNKNOWN)
    place = f'{tmp_path}/rules.yaml:3 "own space"'
    assert [(str(v.access), v.allowed, v.rule, v.reason) for v in decision.verdicts] == [
        ("repository:alice/app:pull", True, place, ""),
        ("repository:alice/app:push", True, place, ""),
        ("repository:alice/app:delete", False, "", "no rule allows it"),
        ("repository:bob/app:pull", False, "", "no rule allows it"),
        ("registry:catalog:*", False, "", "no rule allows it"),
    ]
    assert decision.granted == (pull("alice/app"), push("alice/app"))


LIFETIMES = """\
  - {name: short, allow: [pull], to: {everyone: true}, on: {repositories: [short]}, lifetime: 1m30s}
  - {name: long, allow: [pull], to: {everyone: true}, on: {repositories: [long]}, lifetime: 24h}
  - {name: plain, allow: [pull], to: {everyone: true}, on: {repositories: [plain]}}
"""

ROWS = [
    ("a shorter one", [pull("short")], 90),
    ("a longer one never lengthens it", [pull("long")], 300),
    ("none", [pull("plain")], 300),
    ("the shortest of several", [pull("plain"), pull("short"), pull("long")], 90),
    ("of what is granted alone", [pull("plain"), push("short")], 300),
    ("nothing is granted", [pull("other")], 300),
]


@pytest.mark.parametrize(("accesses", "lifetime_s"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
async def test_lifetime(world: World, evaluating: Evaluating, accesses: list[Access], lifetime_s: int) -> None:
    service = replace(world.service, policies=evaluating(LIFETIMES))
    request = TokenRequest(service=None, accesses=tuple(accesses), credentials=Basic("alice", "wonderland"))
    answer = await service.answer(request)
    assert answer.issued.expires_in == lifetime_s
    assert read(answer.issued.token, 1)["exp"] == START + lifetime_s


OPEN = "  - {{name: a, allow: [pull], to: {{everyone: true}}, on: {{repositories: [{name}]}}{more}}}\n"


def test_another_caller_another_wish_and_other_rules_are_judged_anew(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(WRITTEN + OPEN.format(name='"{user}"', more=""), encoding="utf-8")
    policies = Policies(path)
    evaluator = PolicyEvaluator(policies)
    wish = (pull("a"), pull("b"))
    names = ("a", "b", "a", "b")
    granted = [evaluator.decide(Principal(name), wish, UNKNOWN).granted for name in names]
    assert granted == [(pull(name),) for name in names]
    known = Principal("a")
    assert evaluator.decide(known, wish, UNKNOWN) is evaluator.decide(known, wish, UNKNOWN)
    assert evaluator.decide(known, (pull("b"),), UNKNOWN).granted == ()
    path.write_text(WRITTEN + OPEN.format(name="b", more=""), encoding="utf-8")
    policies.refresh()
    assert evaluator.decide(known, wish, UNKNOWN).granted == (pull("b"),)


def test_where_a_rule_has_a_condition_every_request_is_judged(evaluating: Evaluating) -> None:
    evaluator = evaluating(OPEN.format(name="a", more=""", when: 'request.address == "10.0.0.1"'"""))
    views = [ClientView("https", "h", f"10.0.0.{number}") for number in (1, 2, 1)]
    allowed = [evaluator.decide(ANONYMOUS, (pull("a"),), view).granted for view in views]
    assert allowed == [(pull("a"),), (), (pull("a"),)]


DEVS = frozenset({"devs", "others"})
DEVS_PULL = "{name: a, allow: [pull], to: {groups: [devs]}, on: {repositories: [a]}}"
HOLDERS: list[tuple[str, str, tuple[Access, ...], frozenset[str]]] = [
    (
        "no rule asks later",
        "{name: a, allow: [push], to: {groups: [devs]}, on: {repositories: [a]}}",
        (push("a"),),
        frozenset(),
    ),
    (
        "a rule about tags names a group",
        "{name: a, allow: [push], to: {groups: [devs]}, on: {repositories: [a], tags: [v1]}}",
        (push("a"),),
        frozenset({"devs"}),
    ),
    (
        "of another repository",
        "{name: a, allow: [push], to: {groups: [devs]}, on: {repositories: [a], tags: [v1]}}",
        (push("b"),),
        frozenset(),
    ),
    (
        "the catalog is cut down by groups",
        f"{{name: c, allow: [catalog], to: {{everyone: true}}}}\n  - {DEVS_PULL}",
        (CATALOG,),
        frozenset({"devs"}),
    ),
]


@pytest.mark.parametrize(("rules", "accesses", "groups"), [row[1:] for row in HOLDERS], ids=[row[0] for row in HOLDERS])
async def test_a_token_carries_the_groups_that_a_later_rule_names(
    world: World, evaluating: Evaluating, rules: str, accesses: tuple[Access, ...], groups: frozenset[str]
) -> None:
    decision = evaluating(f"  - {rules}\n").decide(Principal("alice", DEVS), accesses, UNKNOWN)
    token = world.issuer.issue(decision.holder, decision.granted).token
    holder = world.verifier().verify(Bearer(token)).holder
    assert holder == Principal("alice", groups)
    assert ("authproxy" in read(token, 1)) == bool(groups)


def test_without_policies_every_user_may_do_everything_that_there_is() -> None:
    known = {pull("a"), push("a"), delete("a/b"), STAR, CATALOG}
    unknown = {
        Access("planet", "mars", "visit"),
        Access("registry", "catalog", "burn"),
        Access("repository", "a", "burn"),
        Access("repository", "A", "pull"),
        Access("repository", "../a", "pull"),
    }
    assert EveryUserEverything().granted(Principal("alice"), known | unknown, UNKNOWN) == known


def test_without_policies_nobody_may_do_nothing() -> None:
    assert EveryUserEverything().granted(ANONYMOUS, {pull("a"), CATALOG}, UNKNOWN) == frozenset()
