"""Imported rules decide as the old list did: compared with a literal reading of it, request by request."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from authproxy.access import Access
from authproxy.config.document.tree import DocumentError, parse_document
from authproxy.importing.docker_auth.importer import import_docker_auth
from authproxy.importing.imported import Imported, to_policy
from authproxy.importing.report import Kind
from authproxy.policy.cases import run_cases
from authproxy.policy.decide import decide
from authproxy.policy.file_schema import PolicyFile, parse_policy
from authproxy.policy.model import PolicySet
from authproxy.policy.request import RequestFacts
from authproxy.principal import Principal
from tests.unit.importing.docker_auth.literal import Request, granted

# A small world, so that entries and questions often meet.
ACCOUNTS = (
    *("", "alice", "bob", "*", "b*", "?*", "[a-b]*", "[^a]*", "${account}", "**", "alice/", "\\alice", "[", "{x}"),
    *(
        "/.+/",
        "/.*/",
        "/^alice$/",
        "/^(alice|bob)$/",
        "/li/",
        "/^al/",
        "/b$/",
        "/^(.+)-ci$/",
        "/(?i)^ALICE$/",
        "/^[ab]/",
        "/^(.+)@x\\.org$/",
        "/^(.*)@x.org$/",
        "/^([a-z.]+)@x\\.org$/",
        "*@x.org",
        "bob@x.org",
    ),
)
NAMES = (
    *(
        "a",
        "a/b",
        "*",
        "*/*",
        "a/*",
        "**",
        "a*",
        "*/b",
        "?/b",
        "[ab]/b",
        "[^b]/*",
        "a/**/b",
        "A/b",
        "catalog",
        "a/[",
        "\\a",
    ),
    *(
        "${account}",
        "${account}/*",
        "a/${account}",
        "*/${account}",
        "*/${account}/*",
        "${account}-x/*",
        "a-${account}/*",
    ),
    *(
        "x${account}",
        "${account}/${account}",
        "${type}/*",
        "${service}/*",
        "${account:1}/*",
        "a/${account:1}",
        "*/${account:1}/*",
        "x${account:1}",
        "${account:1}/${account:1}",
        "[${account}]",
        "\\${account}/b",
    ),
    *(
        "${labels:g}/*",
        "a/${labels:g}",
        "${labels:t}/*",
        "*/${labels:g}/*",
        "${labels:g}*",
        "{account}/*",
        "${labels:g}",
    ),
    *(
        "/.+/",
        "/.*/",
        "/a/",
        "/^a/",
        "/b$/",
        "/^a\\/.*$/",
        "/^a\\/[^\\/]+$/",
        "/^(a|alice)\\/.+$/",
        "/^a.b$/",
        "/^a(/|$)/",
    ),
    *(
        "/^${account}\\/.*$/",
        "/^${account}/",
        "/${account}/",
        "/^.*\\/b$/",
        "/^${labels:g}\\/.*$/",
        "/^a.*\\/b$/",
        "/^a|b$/",
    ),
    *(
        "/^(?i)A/",
        "/^[^\\/]+\\/b$/",
        "/^a.+$/",
        "/^a[^\\/]+\\/b$/",
        "/^a?$/",
        "/^a*b$/",
        "/\\Aa\\z/",
        "/^team.x\\/.*/",
        "/^${account}+$/",
    ),
)
LABELS = ("dev", "*", "d*", "/^d/", "/e/", "[do]*", "/^(dev|ops)$/", "${account}")
LABEL_VALUES = ("dev", "ops", "a", "alice", "a/*", "a/b", "team.x", "a*", "t:dev", "(", "")
ACTIONS: tuple[list[str], ...] = (
    [],
    ["*"],
    ["pull"],
    ["pull", "push"],
    ["push"],
    ["pull", "push", "delete"],
    ["*", "pull"],
)

REPOSITORIES = (
    *("a", "b", "ab", "a/b", "b/b", "a/a", "a/alice", "alice", "alice/b", "alice/b/c", "alice/alice", "bob/b", "bob"),
    *("a/b/b", "a/x/b", "catalog", "repository/a", "registry/a", "dev", "dev/a", "ops/a/b", "a/dev", "a/ops/x", "aa/b"),
    *("alice-x/b", "a-alice/b", "xalice", "a-bob/x", "b.b/b", "teamax/y", "team.x/y", "x/alice/y", "a.b", "team.xx"),
    *("a--x/b", "a-b.b/x", "a-bxb/x", "bxb/b"),
)
HERE = RequestFacts(address="10.1.2.3")
CALLERS = (
    "",
    "alice",
    "bob@x.org",
    "b.b@x.org",
    "Bob@x.org",
    "bob@y.org",
    "bob",
    "b.b",
    "bob-ci",
    "carol",
    "Alice",
    "-x",
    "a*",
    "x",
)


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    match: dict[str, Any] = {}
    maybe = st.sampled_from([True, False])
    if draw(maybe):
        match["account"] = draw(st.sampled_from(ACCOUNTS))
    if draw(st.sampled_from([True, True, False])):
        match["name"] = draw(st.sampled_from(NAMES))
    if draw(st.integers(0, 5)) == 0:
        match["type"] = draw(
            st.sampled_from(["repository", "registry", "re*", "/^re/", "other", "${type}", "${account}"])
        )
    if draw(st.integers(0, 8)) == 0:
        match["service"] = draw(st.sampled_from(["registry", "other", "/reg/"]))
    if draw(st.integers(0, 3)) == 0:
        match["labels"] = {draw(st.sampled_from(["g", "g", "t"])): draw(st.sampled_from(LABELS))}
    if draw(st.integers(0, 12)) == 0:
        match["ip"] = draw(st.sampled_from(["10.0.0.0/8", "10.1.2.3", "10.9.9.9/8", "192.168.0.0/16", "2001:db8::/32"]))
    return {"match": match, "actions": draw(st.sampled_from(ACTIONS))}


user_labels = st.dictionaries(st.sampled_from(["g", "t"]), st.lists(st.sampled_from(LABEL_VALUES), max_size=2))


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    users: dict[str, Any] = {
        name: {"labels": draw(user_labels)} for name in CALLERS if name and draw(st.integers(0, 2)) > 0
    }
    if draw(st.sampled_from([True, False])):
        users[""] = draw(st.sampled_from([{}, {}, {}, {"labels": {"g": ["dev"]}}]))
    config: dict[str, Any] = {"users": users, "acl": draw(st.lists(entries(), min_size=1, max_size=5))}
    if draw(st.integers(0, 3)) == 0:
        config["ldap_auth"] = {"labels": {"g": {"attribute": "memberOf"}}}
    return config


def groups_of(config: dict[str, Any], labels: dict[str, list[str]]) -> frozenset[str]:
    """As the how-to says it: the values of the one label, or each behind its label."""
    texts = [text for entry in config["acl"] for text in entry["match"].values() if isinstance(text, str)]
    used = {label for entry in config["acl"] for label in entry["match"].get("labels", {})}
    used |= {label for label in ("g", "t") if any(f"${{labels:{label}}}" in text for text in texts)}
    values = [(label, value) for label in used for value in labels.get(label, ())]
    return frozenset(value if len(used) == 1 else f"{label}:{value}" for label, value in values)


def imported(folder: Path, text: str) -> Imported | None:
    path = folder / "auth.yml"
    path.write_text(text, encoding="utf-8")
    try:
        return import_docker_auth(path, service="registry")
    except DocumentError as exc:
        assert "nothing in its acl" in str(exc)
        return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("importing")


def in_our_words(result: Imported | None) -> PolicyFile:
    return parse_policy(parse_document(to_policy(result), "imported")) if result else PolicyFile(())


@given(configs(), st.lists(st.tuples(st.sampled_from(CALLERS), user_labels), min_size=1, max_size=3))
def test_the_rules_allow_what_the_list_did(
    folder: Path, config: dict[str, Any], strangers: list[tuple[str, dict[str, list[str]]]]
) -> None:
    text = yaml.safe_dump(config)
    result = imported(folder, text)
    rules = PolicySet(in_our_words(result).rules)
    callers = [(name, (user or {}).get("labels", {})) for name, user in config["users"].items()]
    if "" not in config["users"]:
        callers.append(("", {}))
    if "ldap_auth" in config:
        callers += [stranger for stranger in strangers if stranger[0] and stranger[0] not in config["users"]]
    is_whole = result is not None and all(
        finding.kind is not Kind.LEFT or "ldap_auth" in finding.sentence for finding in result.findings
    )
    asked = [("repository", name, ("pull", "push", "delete")) for name in REPOSITORIES]
    for (account, labels), (kind, name, actions) in product(callers, [*asked, ("registry", "catalog", ("*",))]):
        old = granted(config, Request(account, kind, name, labels), actions)
        principal = Principal(account, groups_of(config, labels) if account else frozenset())
        new = [
            action for action in actions if decide(rules, principal, Access(kind, name, action), request=HERE).allowed
        ]
        assert set(new) <= set(old), f"{account!r} {labels} is allowed {new} on {name}, and was {old}"
        if is_whole and not ("ldap_auth" in config and account not in config["users"]):
            assert new == old, f"{account!r} {labels} is allowed {new} on {name}, and was {old}"


# Nobody is called so here, and no case may say that somebody is.
_SLASHED: dict[str, Any] = {
    "users": {"": {}},
    "acl": [
        {"match": {"account": "alice/", "name": "a"}, "actions": []},
        {"match": {"account": "*", "name": "a", "type": "repository"}, "actions": ["*"]},
    ],
    "ldap_auth": {"labels": {"g": {"attribute": "memberOf"}}},
}


@example(config=_SLASHED)
@given(config=configs())
def test_the_cases_hold(folder: Path, config: dict[str, Any]) -> None:
    parsed = in_our_words(imported(folder, yaml.safe_dump(config)))
    assert run_cases(PolicySet(parsed.rules), parsed.cases).failed == ()
