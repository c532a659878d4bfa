"""Whatever stands in a pattern: an import ends in a policy that loads, or in an error of ours that names the file."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from authproxy.config.document.tree import DocumentError, parse_document
from authproxy.importing.docker_auth.importer import import_docker_auth
from authproxy.importing.imported import Imported, to_policy
from authproxy.importing.zot.importer import import_zot
from authproxy.policy.file_schema import parse_policy

SYNTAX = (
    *(
        "/",
        "*",
        "**",
        "?",
        "[",
        "]",
        "^",
        "-",
        "\\",
        "a",
        "b",
        "team",
        "(",
        ")",
        "|",
        ".",
        ".*",
        "+",
        "$",
        "{",
        "}",
        "{2}",
    ),
    *("${account}", "${labels:g}", "${name:1}", "!", ",", "A", "é", '"', "'", "\n", " ", "#"),
)
texts = st.lists(st.sampled_from(SYNTAX) | st.text(max_size=2), max_size=7).map("".join)
patterns = texts | texts.map(lambda text: f"/{text}/")
matches = st.fixed_dictionaries(
    {},
    optional={
        "account": patterns,
        "name": patterns,
        "labels": st.dictionaries(st.sampled_from(["g", "t"]), patterns, max_size=2),
    },
)
actions = st.sampled_from([[], ["*"], ["pull"], ["pull", "push"]])
entries = st.fixed_dictionaries({"match": matches, "actions": actions}, optional={"comment": texts})
sections = st.fixed_dictionaries(
    {"defaultPolicy": st.sampled_from([["read"], ["create"], ["read", "create", "update"]])},
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("importing") / "old.yml"


def load(imported: Imported) -> None:
    assert parse_policy(parse_document(to_policy(imported), "new")).rules


@given(st.lists(entries, min_size=1, max_size=3))
def test_docker_auth(file: Path, acl: list[dict[str, Any]]) -> None:
    users = {"alice": {"labels": {"g": ["a", "x y"]}}, "": {}}
    file.write_text(yaml.safe_dump({"users": users, "acl": acl}, allow_unicode=True), encoding="utf-8")
    try:
        imported = import_docker_auth(file)
    except DocumentError as exc:
        assert str(file) in str(exc)
    else:
        load(imported)


@given(st.dictionaries(texts, sections, min_size=1, max_size=3))
def test_zot(file: Path, repositories: dict[str, Any]) -> None:
    config = {"http": {"accessControl": {"repositories": repositories}}}
    file.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    try:
        imported = import_zot(file)
    except DocumentError as exc:
        assert str(file) in str(exc)
    else:
        load(imported)
