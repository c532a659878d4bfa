import pytest
from hypothesis import given

from authproxy.access import CATALOG, Access, pull, push
from authproxy.policy.decide import decide, expand
from authproxy.policy.model import ANONYMOUS, ANY_ROBOT, SIGNED_IN, Action, Effect, PolicySet, Rule, SubjectKey
from authproxy.policy.who_can import find_unknown_users, who_can
from authproxy.principal import Principal
from tests.unit.policy.builders import accesses, make_rule, principals, rule_lists

DEVS, OPS, ALICE = SubjectKey("group", "devs"), SubjectKey("group", "ops"), SubjectKey("user", "alice")
USERS = (Principal("alice", frozenset({"devs"})), Principal("bob"), Principal("bot", is_robot=True))
DENY = Effect.DENY

ROWS = [
    ("nobody", [make_rule(1, to=(DEVS,), on=("x",))], pull("a"), [], []),
    ("a group, and who is in it", [make_rule(1, to=(DEVS,))], pull("a"), ["group devs", "user alice"], []),
    ("everybody signed in stands for all", [make_rule(1, to=(SIGNED_IN, DEVS))], pull("a"), ["signed-in"], []),
    ("all of them", [make_rule(1)], pull("a"), ["anonymous", "signed-in"], []),
    (
        "whom a deny keeps out",
        [make_rule(1), make_rule(2, effect=DENY, to=(OPS,))],
        pull("a"),
        ["anonymous", "signed-in"],
        ["group ops"],
    ),
    ("by one's own name", [make_rule(1, on=("{user}/**",))], push("carol/app"), ["user carol"], []),
    ("by one's own name with text around", [make_rule(1, on=("x/ci-{user}",))], push("x/ci-al"), ["user al"], []),
    ("by a group's name", [make_rule(1, on=("{group}/**",))], push("team/app"), ["group team"], []),
    (
        "by a claim's value",
        [make_rule(1, on=("{claims.p:path}/app",))],
        push("a/b/app"),
        ["claim p=a/b"],
        [],
    ),
    ("any robot, and who is one", [make_rule(1, to=(ANY_ROBOT,))], pull("a"), ["any-robot", "robot bot"], []),
    ("a robot that no users file knows", [make_rule(1, to=(SubjectKey("robot", "x"),))], pull("a"), ["robot x"], []),
    (
        "a robot that a rule calls a user",
        [make_rule(1, to=(SubjectKey("user", "bot"),))],
        pull("a"),
        ["robot bot"],
        [],
    ),
    ("a robot by its own name", [make_rule(1, on=("{user}/**",))], push("bot/app"), ["robot bot"], []),
    (
        "no robot",
        [make_rule(1), make_rule(2, effect=DENY, to=(ANY_ROBOT,))],
        pull("a"),
        ["anonymous", "signed-in"],
        ["any-robot", "robot bot"],
    ),
    ("by a claim", [make_rule(1, to=(SubjectKey("claim", "v", "p"),))], push("a"), ["claim p=v"], []),
    (
        "the catalog",
        [make_rule(1, actions=frozenset([Action.CATALOG]), on=(), to=(ALICE,))],
        CATALOG,
        ["user alice"],
        [],
    ),
]


OVERWRITE = frozenset([Action.OVERWRITE])
TAGGED = [
    ("a tag that one may push", [make_rule(1, to=(ALICE,), tags=("dev",))], "push", "dev", ["user alice"], []),
    ("another tag", [make_rule(1, to=(ALICE,), tags=("dev",))], "push", "v1", [], []),
    ("no tag", [make_rule(1, to=(ALICE,), tags=("dev",))], "push", None, ["user alice"], []),
    ("what push hides needs push", [make_rule(1, to=(ALICE,))], "overwrite", "v1", ["user alice"], []),
    (
        "whom a deny of it keeps out",
        [make_rule(1, to=(SIGNED_IN,)), make_rule(2, effect=DENY, actions=OVERWRITE, to=(OPS,), tags=("v*",))],
        "overwrite",
        "v1",
        ["signed-in"],
        ["group ops"],
    ),
]


@pytest.mark.parametrize(
    ("rules", "action", "tag", "allowed", "denied"), [row[1:] for row in TAGGED], ids=[row[0] for row in TAGGED]
)
def test_who_with_a_tag(rules: list[Rule], action: str, tag: str | None, allowed: list[str], denied: list[str]) -> None:
    answers = who_can(PolicySet(tuple(rules)), Access("repository", "a", action), USERS, tag=tag)
    assert [str(answer.who) for answer in answers.allowed] == allowed
    assert [str(answer.who) for answer in answers.denied] == denied


@pytest.mark.parametrize(
    ("rules", "access", "allowed", "denied"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_who(rules: list[Rule], access: Access, allowed: list[str], denied: list[str]) -> None:
    answers = who_can(PolicySet(tuple(rules)), access, USERS)
    assert [str(answer.who) for answer in answers.allowed] == allowed
    assert [str(answer.who) for answer in answers.denied] == denied


def test_whom_a_condition_may_let_in_is_listed_apart() -> None:
    rule = make_rule(1, to=(SIGNED_IN,), when="identity.name == 'alice'")
    answers = who_can(PolicySet((rule,)), pull("a"), USERS)
    assert [str(answer.who) for answer in answers.allowed] == []
    assert [str(answer.who) for answer in answers.perhaps] == ["signed-in"]


@given(rule_lists, principals, accesses)
def test_whoever_may_is_listed(rules: list[Rule], principal: Principal, access: Access) -> None:
    policies = PolicySet(tuple(rules))
    single = expand(access)[0]
    if not decide(policies, principal, single).allowed:
        return
    users = [principal] if principal.name else []
    answers = who_can(policies, single, users)
    found = {answer.who for answer in answers.allowed}
    if any(rule.condition is not None for rule in rules):  # it may have been a condition that let them in
        found |= {answer.who for answer in answers.perhaps}
    if principal.is_anonymous:
        assert ANONYMOUS in found
    else:
        assert found & {SIGNED_IN, SubjectKey("robot" if principal.is_robot else "user", principal.name)}


ALL_THAT_EXIST = [
    ("by a name in the repository's name", [make_rule(1, on=("{user}/**",))], "carol/app", []),
    ("by a rule that names a user", [make_rule(1, to=(ALICE, SubjectKey("user", "carol")))], "a", ["user alice"]),
    ("by a rule that names a robot", [make_rule(1, to=(SubjectKey("robot", "carol"),))], "a", []),
    ("a user whom a rule calls a robot", [make_rule(1, to=(SubjectKey("robot", "bob"),))], "a", []),
    ("a robot", [make_rule(1, to=(SubjectKey("robot", "bot"),))], "a", ["robot bot"]),
    ("groups are no users", [make_rule(1, on=("{group}/**",))], "team/app", ["group team"]),
]


@pytest.mark.parametrize(
    ("rules", "repository", "allowed"), [row[1:] for row in ALL_THAT_EXIST], ids=[row[0] for row in ALL_THAT_EXIST]
)
def test_where_all_users_are_known_no_other_is_listed(rules: list[Rule], repository: str, allowed: list[str]) -> None:
    answers = who_can(PolicySet(tuple(rules)), pull(repository), USERS, are_all_users=True)
    assert [str(one.who) for one in answers.allowed] == allowed


def test_the_users_that_rules_name_and_that_do_not_exist() -> None:
    to = (ALICE, SubjectKey("user", "zoe"), SubjectKey("robot", "carol"), SubjectKey("group", "devs"))
    assert find_unknown_users(PolicySet((make_rule(to=to),)), {"alice"}) == ("carol", "zoe")
