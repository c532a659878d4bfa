"""Rules imported from zot decide as a literal reading of its configuration, and say what they leave behind."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.access import Access
from authproxy.config.document.tree import DocumentError, parse_document
from authproxy.importing.imported import Imported, to_policy
from authproxy.importing.report import Kind, render_text
from authproxy.importing.zot.importer import import_zot
from authproxy.policy.cases import run_cases
from authproxy.policy.decide import decide
from authproxy.policy.file_schema import PolicyFile, parse_policy
from authproxy.policy.model import Action, PolicySet
from authproxy.policy.serve_time import decide_served
from authproxy.principal import Principal
from tests.unit.importing.zot.literal import CONDITIONS, Caller, may

GLOBS = (
    *("**", "*", "a", "a/*", "a/**", "a/b", "**/b", "*/b", "a*", "a*/**", "a/**/b", "b/**", "{a,b}/**", "a/{x,y}"),
    *(
        "?/b",
        "[ab]/b",
        "[!a]/*",
        "a/b**",
        "[a-c]/**",
        "A/**",
        "{a,{b,c}}/*",
        "a/[",
        "**/**",
        "a/**/**",
        "/a",
        "{a,b*}/x",
    ),
)
REPOSITORIES = (
    "a",
    "b",
    "ab",
    "ax/y",
    "a/b",
    "b/b",
    "a/x",
    "a/y",
    "a/bc",
    "a/x/b",
    "b/x/y",
    "c/b",
    "x",
    "x/y/b",
    "a/a/a",
)
CALLERS = (
    *(Caller(""), Caller("ann"), Caller("bob"), Caller("admin"), Caller("carol", frozenset({"devs"}))),
    *(Caller("ann", frozenset({"ops", "devs"})), Caller("req.repository")),
)

actions = st.lists(st.sampled_from(["read", "create", "update", "delete", "detectManifestCollision"]), max_size=4)
full = st.sampled_from([["read"], ["read", "create", "update"], ["read", "create"], ["delete"]])
grants = st.fixed_dictionaries(
    {"actions": full | actions},
    optional={
        "users": st.lists(st.sampled_from(["ann", "bob", "admin", ""]), max_size=2),
        "groups": st.lists(st.sampled_from(["devs", "ops"]), max_size=2),
        "conditions": st.lists(st.sampled_from([{"expression": text} for text in CONDITIONS]), max_size=2),
    },
)
sections = st.fixed_dictionaries(
    {}, optional={"policies": st.lists(grants, max_size=3), "defaultPolicy": full | actions, "anonymousPolicy": full}
)


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    control: dict[str, Any] = {
        "repositories": draw(st.dictionaries(st.sampled_from(GLOBS), sections, min_size=1, max_size=4))
    }
    if draw(st.booleans()):
        control["adminPolicy"] = draw(grants)
    return {"http": {"accessControl": control}}


def imported(folder: Path, config: object) -> Imported:
    path = folder / "zot.json"
    path.write_text(json.dumps(config, indent="\t"), encoding="utf-8")
    return import_zot(path)


def in_our_words(folder: Path, config: object) -> tuple[PolicyFile, bool]:
    """The rules, and whether they are all that there was."""
    try:
        result = imported(folder, config)
    except DocumentError as exc:
        assert "nothing in its accessControl" in str(exc)
        return PolicyFile(()), False
    whole = all(
        finding.kind is not Kind.LEFT or "detectManifestCollision" in finding.sentence for finding in result.findings
    )
    return parse_policy(parse_document(to_policy(result), "imported")), whole


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("importing")


@given(configs())
def test_the_rules_allow_what_zot_did(folder: Path, config: dict[str, Any]) -> None:
    parsed, is_whole = in_our_words(folder, config)
    rules = PolicySet(parsed.rules)
    for caller in CALLERS:
        principal = Principal(caller.name, caller.groups if caller.name else frozenset())
        for repository in REPOSITORIES:
            old = {action: may(config, caller, action, repository) for action in ("read", "create", "update", "delete")}
            new = {
                theirs: decide(rules, principal, Access("repository", repository, ours)).allowed
                for theirs, ours in (("read", "pull"), ("create", "push"), ("delete", "delete"))
            }
            for action, is_allowed in new.items():
                assert not is_allowed or True in old[action], (caller, action, repository)
                if is_whole and len(old[action]) == 1:
                    assert {is_allowed} == old[action], (caller, action, repository)
            if new["create"]:
                served = decide_served(rules, principal, Action.OVERWRITE, repository, tag="v1", now=None)
                assert not served.allowed or True in old["update"], (caller, repository)
                if is_whole and len(old["update"]) == 1:
                    assert {served.allowed} == old["update"], (caller, repository)


@given(configs())
def test_the_cases_hold(folder: Path, config: dict[str, Any]) -> None:
    parsed, _ = in_our_words(folder, config)
    assert run_cases(PolicySet(parsed.rules), parsed.cases).failed == ()


READ = {"defaultPolicy": ["read"]}

FINDINGS: list[tuple[dict[str, Any], Kind, str]] = [
    ({"repositories": {"a/**": READ, "a/{b,c*}": READ}}, Kind.LEFT, "braces within braces, or with wildcards"),
    ({"repositories": {"a/*": READ, "*/b": READ}}, Kind.LEFT, "zot decides by chance"),
    ({"repositories": {"a/*": READ, "{a,b}/**": READ}}, Kind.NOTHING, "a/* never decides"),
    ({"repositories": {"A/*": READ, "b": READ}}, Kind.NOTHING, "matches no repository's name, since none has capitals"),
    ({"repositories": {"/a/**": READ, "b/**": READ}}, Kind.NOTHING, "none begins with a slash"),
    ({"repositories": {"a": {**READ, "owners": ["x"]}}}, Kind.LEFT, "repositories.owners: a key that is ignored"),
    ({"repositories": {"a": READ}, "b/**": READ}, Kind.LEFT, "accessControl.b/**: a key that is ignored"),
    ({"repositories": {"a": {"policies": [{"user": ["x"], "actions": ["read"]}], **READ}}}, Kind.LEFT, "policies.user"),
    ({"repositories": {"a": {"anonymousPolicy": ["read"]}}}, Kind.DANGER, "gives read to callers without credentials"),
    ({"repositories": {"a": {"defaultPolicy": ["read", "fly"]}}}, Kind.LEFT, "the action fly does not exist here"),
    ({"repositories": {"a": {"defaultPolicy": ["read", "update"]}}}, Kind.LEFT, "update without create"),
    ({"repositories": {"a": READ}, "metrics": {"users": ["x"]}}, Kind.LEFT, "metrics"),
    ({"repositories": {"a": READ}, "adminPolicy": {"users": ["x*"], "actions": ["read"]}}, Kind.LEFT, "not a name"),
]


@pytest.mark.parametrize(("control", "kind", "words"), FINDINGS)
def test_it_is_told(tmp_path: Path, control: dict[str, Any], kind: Kind, words: str) -> None:
    result = imported(tmp_path, {"http": {"accessControl": control}})
    lines = render_text("zot.json", result.findings)
    assert any(str(kind) in line and words in line for line in lines), lines


@pytest.mark.parametrize("source", ["ldap", "openid", "bearer", "apikey", "mtls"])
def test_sources_of_users_are_left_behind(tmp_path: Path, source: str) -> None:
    http = {"auth": {source: {}, "htpasswd": {}}, "accessControl": {"repositories": {"a": READ}}}
    assert [finding.sentence for finding in imported(tmp_path, {"http": http}).findings] == [
        f"auth.{source}: its users need an identity source here"
    ]


def test_json_may_have_characters_in_two_escapes(tmp_path: Path) -> None:
    result = imported(tmp_path, {"http": {"accessControl": {"repositories": {"\U0001f1fa": READ, "a": READ}}}})
    assert any("\U0001f1fa matches no repository's name" in finding.sentence for finding in result.findings)


def test_half_a_character_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="half of a character"):
        imported(tmp_path, {"http": {"accessControl": {"repositories": {"\ud83c": READ}}}})


def test_static_groups_become_groups_of_users(tmp_path: Path) -> None:
    control = {"groups": {"devs": {"users": ["ann"]}, "ops": {"users": ["ann", "bob"]}}, "repositories": {"a": READ}}
    users = imported(tmp_path, {"http": {"accessControl": control}}).users
    assert [(user.name, user.groups) for user in users] == [("ann", ("devs", "ops")), ("bob", ("ops",))]


UNUSABLE = [
    ({}, "zot.json: has no http.accessControl"),
    ({"http": {"accessControl": {"repositories": []}}}, "repositories: this is not a map"),
    ({"http": {"accessControl": {"repositories": {"a": {"policies": [{"conditions": [{}]}]}}}}}, "has no expression"),
    ({"http": {"accessControl": {"repositories": {"a": {}}}}}, "nothing in its accessControl"),
]


@pytest.mark.parametrize(("config", "words"), UNUSABLE)
def test_what_cannot_be_used_is_refused(tmp_path: Path, config: object, words: str) -> None:
    with pytest.raises(DocumentError) as caught:
        imported(tmp_path, config)
    assert words in str(caught.value)


def test_globs_of_zot_1_straight_below_access_control_are_read(tmp_path: Path) -> None:
    control = {"Team/**": READ, "team/**": READ, "adminPolicy": {"users": ["root"], "actions": ["read"]}}
    result = imported(tmp_path, {"http": {"accessControl": control}})
    assert [rule.repositories for rule in result.rules if "pull" in rule.allow] == [("team/**",), ("**",)]
    assert {finding.kind for finding in result.findings} == {Kind.NOTHING}


def test_a_config_map_is_told_with_the_key_that_holds_the_file(tmp_path: Path) -> None:
    inner = json.dumps({"http": {"accessControl": {"repositories": {"a": READ}}}}, indent=1)
    with pytest.raises(DocumentError, match=r"wrapped in a ConfigMap.*below data → config.json, as a text"):
        imported(tmp_path, {"apiVersion": "v1", "kind": "ConfigMap", "data": {"config.json": inner}})
    with pytest.raises(DocumentError, match=r"wrapped: .*below zot → config, as keys"):
        imported(tmp_path, {"zot": {"config": {"http": {"accessControl": {"repositories": {"a": READ}}}}}})
