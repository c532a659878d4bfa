"""Holes that registries and their front doors have had, as far as policies could have them."""

from pathlib import Path

import pytest

from authproxy.access import CATALOG, Access, pull, push
from authproxy.policy.decide import decide
from authproxy.policy.load import PolicyError, load_policies
from authproxy.policy.model import SIGNED_IN, Action, PolicySet, SubjectKey
from authproxy.principal import ANONYMOUS, Principal
from tests.unit.policy.builders import make_rule


def test_cve_2025_23208_a_removed_group_gives_nothing_any_more() -> None:
    policies = PolicySet((make_rule(to=(SubjectKey("group", "devs"),)),))
    assert decide(policies, Principal("alice", frozenset({"devs"})), pull("a")).allowed
    assert not decide(policies, Principal("alice"), pull("a")).allowed


def test_cve_2026_27771_anonymous_callers_get_nothing_that_is_for_those_signed_in() -> None:
    policies = PolicySet((make_rule(to=(SIGNED_IN,)), make_rule(2, to=(SubjectKey("user", "alice"),))))
    for access in (pull("private/app"), push("private/app"), Access("repository", "private/app", "*"), CATALOG):
        assert not decide(policies, ANONYMOUS, access).allowed


@pytest.mark.parametrize("name", ["catalog/", "/catalog", "Catalog", "catalog/../catalog", "_catalog", "*", ""])
def test_cve_2020_29662_no_other_spelling_opens_the_catalog(name: str) -> None:
    policies = PolicySet((make_rule(actions=frozenset([Action.CATALOG]), on=()), make_rule(2)))
    assert not decide(policies, Principal("alice"), Access("registry", name, "*")).allowed


def test_cve_2024_39897_pushing_somewhere_is_not_pulling_elsewhere() -> None:
    policies = PolicySet((make_rule(on=("mine/**",)),))
    assert decide(policies, Principal("alice"), push("mine/app")).allowed
    assert not decide(policies, Principal("alice"), pull("source/app")).allowed


@pytest.mark.parametrize("name", ["*", "**", "a/b", "a/**", ".*", "[a-z]+", "(a|b)", "..", "{user}", "a\n", "a%2fb"])
def test_user_text_is_never_a_pattern(name: str) -> None:
    policies = PolicySet((make_rule(to=(SIGNED_IN,), on=("{user}/**",)),))
    for repository in ("a", "b", "a/b", "a/b/c", "b/c", "user"):
        assert not decide(policies, Principal(name), pull(repository)).allowed


@pytest.mark.parametrize("key", ["user", "usres", "Users", "group", "signed_in", "signedin", "every-one", "all"])
def test_a_misspelt_key_never_becomes_a_rule_about_everybody(tmp_path: Path, key: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        f"version: 1\nrules:\n  - name: r\n    allow: [pull]\n    to: {{users: [a], {key}: true}}\n"
        '    on: {repositories: ["**"]}\n',
        encoding="utf-8",
    )
    with pytest.raises(PolicyError, match=f"{key}: unknown key"):
        load_policies(path)
