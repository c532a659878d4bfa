import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.access import CATALOG, Access
from authproxy.policy import DEFAULT_POLICY
from authproxy.policy.capabilities import MAX_SHOWN, Capability, find_capabilities, render
from authproxy.policy.decide import decide
from authproxy.policy.glob import Glob
from authproxy.policy.glob_containment import covers
from authproxy.policy.load import load_policies
from authproxy.policy.model import (
    ANONYMOUS,
    REPOSITORY_ACTIONS,
    SIGNED_IN,
    Action,
    Effect,
    PolicySet,
    Rule,
    SubjectKey,
)
from authproxy.principal import Principal
from tests.unit.policy.builders import globs, make_rule, principals, repositories, subject_keys

OPS = SubjectKey("group", "ops")
PULL = frozenset({Action.PULL})
PUSH = frozenset({Action.PUSH})
ALICE = Principal("alice", frozenset({"ops", "devs"}))
OWN = make_rule(1, to=(SIGNED_IN,), on=("{user}/**",))

MAY = [
    ("nothing", [], "nothing"),
    ("her own", [OWN], "pull, push, delete alice/**"),
    ("rules for others", [make_rule(to=(ANONYMOUS,)), make_rule(to=(SubjectKey("user", "bob"),))], "nothing"),
    (
        "in the order of the rules",
        [OWN, make_rule(2, actions=PULL, on=("public/**",))],
        "pull, push, delete alice/**; pull public/**",
    ),
    (
        "actions of several rules together",
        [make_rule(1, actions=PULL, on=("a",)), make_rule(2, actions=PUSH, on=("a",))],
        "pull, push a",
    ),
    ("what another line covers is left out", [OWN, make_rule(2, to=(OPS,))], "pull, push, delete **"),
    ("of two that are equal the first", [OWN, make_rule(2, on=("alice/**",))], "pull, push, delete alice/**"),
    ("a line for each group", [make_rule(actions=PULL, on=("{group}/**",))], "pull devs/**; pull ops/**"),
    ("the catalog", [make_rule(actions=frozenset({Action.CATALOG}), on=())], "catalog"),
    ("tags", [make_rule(actions=PULL, on=("a",), tags=("v*", "x"))], "pull a with tags v*, x"),
    ("a condition", [make_rule(actions=PULL, on=("a",), when="request.tls")], "pull a when request.tls"),
    (
        "what is denied completely is left out",
        [OWN, make_rule(2, actions=PUSH, effect=Effect.DENY, on=("*/**",))],
        "pull, delete alice/**",
    ),
    (
        "an exception",
        [OWN, make_rule(2, actions=PUSH, effect=Effect.DENY, on=("alice/frozen",))],
        "pull, push, delete alice/**; not push alice/frozen",
    ),
    ("an exception elsewhere", [OWN, make_rule(2, effect=Effect.DENY, on=("bob/**",))], "pull, push, delete alice/**"),
    (
        "an exception about tags",
        [OWN, make_rule(2, actions=frozenset({Action.OVERWRITE}), effect=Effect.DENY, tags=("v*",))],
        "pull, push, delete alice/**; not overwrite ** with tags v*",
    ),
]


@pytest.mark.parametrize(("rules", "text"), [row[1:] for row in MAY], ids=[row[0] for row in MAY])
def test_what_alice_may(rules: list[Rule], text: str) -> None:
    assert render(find_capabilities(PolicySet(tuple(rules)), ALICE)) == text


def test_the_default_policy_gives_a_new_user_a_space_and_what_is_public(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("policies") / "default.yaml"
    path.write_text(DEFAULT_POLICY, encoding="utf-8")
    rules = load_policies(path)
    assert render(find_capabilities(rules, Principal("alice"))) == "pull, push, delete alice/**; pull public/**"
    admin = Principal("admin", frozenset({"admins"}))
    assert render(find_capabilities(rules, admin)) == "pull, push, delete **; catalog"
    assert render(find_capabilities(rules, Principal("Alice@example.org"))) == "pull public/**"


rules = st.lists(
    st.builds(
        lambda line, effect, action, key, on: make_rule(line, effect=effect, actions=action, to=(key,), on=(on,)),
        st.integers(1, 9),
        st.sampled_from(Effect),
        st.sampled_from([frozenset(REPOSITORY_ACTIONS), PULL, PUSH]),
        subject_keys,
        globs,
    ),
    max_size=5,
)


@given(rules, principals, repositories, st.sampled_from(REPOSITORY_ACTIONS))
def test_the_lines_decide_as_the_rules_do(some: list[Rule], caller: Principal, repository: str, action: Action) -> None:
    """Allowed if a line allows it and no exception forbids it."""
    policies = PolicySet(tuple(some))
    lines = find_capabilities(policies, caller)

    def includes(line: Capability) -> bool:
        glob = line.repositories
        return action in line.actions and glob is not None and glob.matches(repository.split("/"), caller)

    told = any(includes(line) for line in lines if line.allowed) and not any(
        includes(line) for line in lines if not line.allowed
    )
    assert told is decide(policies, caller, Access("repository", repository, action.value)).allowed


def test_the_catalog_can_be_denied() -> None:
    catalog = frozenset({Action.CATALOG})
    denied = PolicySet((make_rule(1, actions=catalog, on=()), make_rule(2, actions=catalog, on=(), effect=Effect.DENY)))
    assert find_capabilities(denied, ALICE) == ()
    assert not decide(denied, ALICE, CATALOG).allowed


def test_of_very_many_lines_the_first_are_shown() -> None:
    rules = tuple(make_rule(i, actions=PULL, on=(f"team{i:04}/**",)) for i in range(MAX_SHOWN + 7))
    text = render(find_capabilities(PolicySet(rules), ALICE))
    assert text.startswith("pull team0000/**; pull team0001/**; ")
    assert text.endswith(f"pull team{MAX_SHOWN - 1:04}/**; 7 more")


def test_thousands_of_rules_are_not_compared_pair_by_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def counting(outer: Glob, inner: Glob) -> bool:
        compared.append((outer, inner))
        return covers(outer, inner)

    monkeypatch.setattr("authproxy.policy.capabilities.covers", counting)
    rules = tuple(make_rule(i, on=(f"team{i}/**",)) for i in range(1000))
    assert len(find_capabilities(PolicySet(rules), ALICE)) == 1000
    assert len(compared) < 1000
