from collections.abc import Sequence

import pytest

from authproxy.policy.model import ANONYMOUS, EVERYONE, SIGNED_IN, Effect, PolicySet, Rule, SubjectKey
from authproxy.policy.shared_names import find_shared_names
from tests.unit.policy.builders import make_rule

OWN = make_rule(1, to=(SIGNED_IN,), on=("{user}/**",))
TEAMS = make_rule(2, to=(SIGNED_IN,), on=("{group}/**",))
MAIL = make_rule(3, to=(SIGNED_IN,), on=("{user@x.org}/**",))


def other(*on: str, to: tuple[SubjectKey, ...] = (SIGNED_IN,), effect: Effect = Effect.ALLOW) -> Rule:
    return make_rule(9, to=to, on=on, effect=effect)


SHARED = [
    ("the head of another rule", [OWN, other("public/**")], ["public"], [], {"public"}),
    ("the head, of one repository", [OWN, other("public/base")], ["public", "ann"], [], {"public"}),
    ("anonymous callers pull there", [OWN, other("public/**", to=(ANONYMOUS,))], ["public"], [], {"public"}),
    ("a star that the name fits", [OWN, other("pub*/x")], ["public", "ann"], [], {"public"}),
    (
        "a segment that is not the first",
        [make_rule(1, on=("home/{user}/*",)), other("home/all/x")],
        ["all"],
        [],
        {"all"},
    ),
    ("text beside the name", [make_rule(1, on=("dev-{user}/**",)), other("dev-all/**")], ["all"], [], {"all"}),
    ("the local part of a mail address", [MAIL, other("public/**")], ["public@x.org"], [], {"public@x.org"}),
    ("a group", [TEAMS, other("public/**")], [], ["public"], {"public"}),
    ("a user called like a group", [OWN, TEAMS], ["devs", "ann"], ["devs"], {"devs"}),
    ("a user beside a mail address", [OWN, MAIL], ["ann", "ann@x.org", "bob"], [], {"ann", "ann@x.org"}),
]
OWN_ALONE = [
    ("another name", [OWN, other("public/**")], ["ann", "publi", "public2", "Public"], []),
    ("the mail address of another domain", [MAIL, other("public/**")], ["public@y.org", "public"], []),
    ("everything", [OWN, other("**"), other("*/public")], ["ann", "public"], []),
    ("a deny", [OWN, other("public/**", effect=Effect.DENY)], ["public"], []),
    ("what the user shares with another one", [OWN, other("ann/app", to=(SubjectKey("user", "bob"),))], ["ann"], []),
    (
        "a space for somebody else",
        [make_rule(1, to=(SubjectKey("user", "bob"),), on=("{user}/**",)), other("ann/**")],
        ["ann"],
        [],
    ),
    ("a group of another name", [OWN, TEAMS], ["ann"], ["devs"]),
    ("no placeholders", [other("public/**", to=(EVERYONE,))], ["public"], ["public"]),
]


@pytest.mark.parametrize(
    ("rules", "users", "groups", "names"), [row[1:] for row in SHARED], ids=[row[0] for row in SHARED]
)
def test_a_name_that_opens_what_another_rule_is_about(
    rules: Sequence[Rule], users: list[str], groups: list[str], names: set[str]
) -> None:
    found = list(find_shared_names(PolicySet(tuple(rules)), users=users, groups=groups))
    assert {one.name for one in found} == names


@pytest.mark.parametrize(
    ("rules", "users", "groups"), [row[1:] for row in OWN_ALONE], ids=[row[0] for row in OWN_ALONE]
)
def test_a_name_whose_space_is_its_own(rules: Sequence[Rule], users: list[str], groups: list[str]) -> None:
    assert not list(find_shared_names(PolicySet(tuple(rules)), users=users, groups=groups))


def test_what_is_said_names_both_rules_and_the_space() -> None:
    (found,) = find_shared_names(PolicySet((OWN, other("public/**"))), users=["public"], groups=[])
    assert str(found) == (
        'policies/test.yaml:1 "rule 1": the user public may pull, push, delete in public/**, and policies/test.yaml:9'
        ' "rule 9" is about repositories there too'
    )


def test_only_those_who_are_asked_for_are_looked_at() -> None:
    found = find_shared_names(PolicySet((OWN, MAIL)), users=["ann", "ann@x.org"], groups=[], asked=["ann@x.org"])
    assert [one.name for one in found] == ["ann@x.org"]
