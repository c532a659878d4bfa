"""Retention imported from zot never removes what zot keeps, and says what it leaves behind."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.config.document.tree import DocumentError, parse_document
from authproxy.digest import Digest
from authproxy.importing.imported import Imported, to_policy
from authproxy.importing.report import render_text
from authproxy.importing.zot.doublestar import ZotGlob
from authproxy.importing.zot.importer import import_zot
from authproxy.policy.file_schema import PolicyFile, parse_policy
from authproxy.policy.retention import Image, Outcome, decide_retention
from authproxy.reference import Tag

NOW = datetime(2030, 1, 1, tzinfo=UTC)
RULES = ("mostRecentlyPulledCount", "mostRecentlyPushedCount", "pulledWithin", "pushedWithin")


class ZotImage(NamedTuple):
    tag: str
    pushed: int  # hours ago
    pulled: int | None


def imported(folder: Path, config: object) -> Imported:
    path = folder / "zot.json"
    path.write_text(json.dumps(config, indent=1), encoding="utf-8")
    return import_zot(path)


def parsed(result: Imported) -> PolicyFile:
    return parse_policy(parse_document(to_policy(result), "imported"))


def kept_by_zot(policies: list[dict[str, Any]], repository: str, images: list[ZotImage]) -> set[str]:
    """A literal reading of zot's pkg/retention: the first policy, the first item, any of its criteria."""
    policy = next(
        (one for one in policies if any(ZotGlob.parse(text).matches(repository) for text in one["repositories"])), None
    )
    if policy is None or not policy.get("keepTags"):
        return {image.tag for image in images}
    groups: dict[int, list[ZotImage]] = {}
    for image in images:
        for number, item in enumerate(policy["keepTags"]):
            patterns = item.get("patterns", [])
            if not patterns or any(re.search(pattern, image.tag) for pattern in patterns):
                groups.setdefault(number, []).append(image)
                break
    return {one.tag for number, group in groups.items() for one in kept_by_item(policy["keepTags"][number], group)}


def kept_by_item(item: dict[str, Any], group: list[ZotImage]) -> list[ZotImage]:
    found, never = list[list[ZotImage]](), 10**6
    if count := item.get("mostRecentlyPulledCount"):
        found.append(sorted(group, key=lambda one: never if one.pulled is None else one.pulled)[:count])
    if count := item.get("mostRecentlyPushedCount"):
        found.append(sorted(group, key=lambda one: one.pushed)[:count])
    if age := item.get("pulledWithin"):
        hours = int(age.removesuffix("h"))
        found.append([one for one in group if min(one.pushed, never if one.pulled is None else one.pulled) < hours])
    if age := item.get("pushedWithin"):
        found.append([one for one in group if one.pushed < int(age.removesuffix("h"))])
    has_rules = any(item.get(key) for key in RULES)
    return [one for several in found for one in several] if has_rules else group


def removed_by_us(policy: PolicyFile, repository: str, images: list[ZotImage]) -> set[str]:
    ours = [
        Image(
            Digest.of(one.tag.encode()),
            Tag(one.tag),
            NOW - timedelta(hours=one.pushed),
            None if one.pulled is None else NOW - timedelta(hours=one.pulled),
        )
        for one in images
    ]
    began = NOW - timedelta(days=999)
    decided = decide_retention(repository, ours, policy.retention, now=NOW, records_began=began)
    return {str(one.image.tag) for one in decided if one.outcome is not Outcome.KEPT}


PATTERNS = [
    ".*",
    "^v",
    "v2.*",
    "^v[0-9]+$",
    "-prod$",
    "^(main|dev)-",
    "^main-.+$",
    "^latest$",
    "a/b",
    "^x+$",
    ".*-prod",
]
GLOBS = [
    "**",
    "team/*",
    "team/**",
    "a/**",
    "a/b",
    "*/b",
    "{a,team}/x",
    "te?m/**",
    "t[e-f]am/x",
    "[ab]/**",
    "A/**",
    "?/**",
]
ages = st.sampled_from(["1h", "5h", "24h", "0h"])
counts = st.integers(0, 3)
items = st.fixed_dictionaries(
    {},
    optional={
        "patterns": st.lists(st.sampled_from(PATTERNS), max_size=2),
        "mostRecentlyPushedCount": counts,
        "mostRecentlyPulledCount": counts,
        "pushedWithin": ages,
        "pulledWithin": ages,
    },
)
policies = st.lists(
    st.fixed_dictionaries(
        {"repositories": st.lists(st.sampled_from(GLOBS), min_size=1, max_size=2)},
        optional={
            "keepTags": st.lists(items, max_size=2),
            "deleteUntagged": st.booleans(),
            "deleteReferrers": st.booleans(),
        },
    ),
    min_size=1,
    max_size=3,
)
images = st.lists(
    st.builds(
        ZotImage,
        st.sampled_from(
            ["v1", "v2.3", "v20", "dev-1", "dev-2", "main-1", "main-", "latest", "v2-prod", "x-prod", "xx"]
        ),
        st.integers(0, 30),
        st.one_of(st.none(), st.integers(0, 30)),
    ),
    unique_by=lambda one: one.tag,
    max_size=8,
)
REPOSITORIES = ["team/x", "team/x/y", "a/b", "a/c", "b/b", "c"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("importing")


@given(policies, images)
def test_nothing_that_zot_keeps_is_removed(
    folder: Path, policies: list[dict[str, Any]], images: list[ZotImage]
) -> None:
    try:
        result = imported(folder, {"storage": {"retention": {"policies": policies}}})
    except DocumentError as exc:
        assert "nothing to import" in str(exc)
        return
    for repository in REPOSITORIES:
        removed = removed_by_us(parsed(result), repository, images)
        assert not removed & kept_by_zot(policies, repository, images), repository


GOLDEN = {
    "distSpecVersion": "1.1.1",
    "storage": {
        "rootDirectory": "zot",
        "gcDelay": "2h",
        "retention": {
            "dryRun": True,
            "delay": "24h",
            "policies": [
                {
                    "repositories": ["infra/*", "prod/*"],
                    "keepTags": [
                        {"patterns": ["v2.*", ".*-prod"]},
                        {"patterns": ["^v3\\."], "pulledWithin": "168h", "mostRecentlyPushedCount": 5},
                    ],
                },
                {
                    "repositories": ["tmp/**"],
                    "deleteReferrers": True,
                    "deleteUntagged": False,
                    "keepTags": [{"pushedWithin": "30m"}],
                },
                {"repositories": ["**"], "keepTags": [{"patterns": ["^[a-f0-9]{7}$"], "mostRecentlyPushedCount": 10}]},
            ],
        },
        "subPaths": {"/a": {"rootDirectory": "zot1", "retention": {"policies": [{"repositories": ["a/x/*", "**"]}]}}},
    },
}


def test_golden(folder: Path) -> None:
    result = imported(folder, GOLDEN)
    assert to_policy(result).partition("version: 1\n")[2] == """
retention:
  - name: zot.json line 10
    description: From line 10 of zot.json.
    on: {repositories: [infra/*, prod/*]}
    keep:
      - {tags: ['*v2*', '*-prod*']}
      - {newest: 5, tags: [v3.*]}
      - {pulled-within: 168h, tags: [v3.*]}
    untagged: [{pushed-within: 24h}]
    dry-run: true

  - name: zot.json line 31
    description: From line 31 of zot.json.
    on: {repositories: [tmp/**]}
    keep:
      - {pushed-within: 1h}
    dry-run: true

  - name: zot.json line 43
    description: From line 43 of zot.json.
    on: {repositories: ['**'], except: [a/*/**, infra/*, prod/*, tmp/**]}
    keep:
      - {tags: ['*']}
    untagged: [{pushed-within: 24h}]
    dry-run: true

  - name: zot.json line 63
    description: From line 63 of zot.json.
    on: {repositories: [a/x/*, a/*/**]}
    keep:
      - {tags: ['*']}
    untagged: [{pushed-within: 1h}]
"""  # fmt: skip
    assert render_text("zot.json", result.findings) == [
        "zot.json:31: left behind: deleteReferrers: what refers to missing manifests is the garbage collector's here",
        "zot.json:48: left behind: the pattern ^[a-f0-9]{7}$ has no equivalent: all tags count as matching",
    ]
    assert len(parsed(result).retention) == 4


@pytest.mark.parametrize(
    ("policy", "finding"),
    [
        ({"repositories": ["te?m"]}, "te?m has no equivalent: nothing is removed there"),
        ({"keepTags": [{"patterns": [".*"]}]}, "has no repositories, which versions of zot read differently"),
        ({"repositories": ["A/**"]}, "A/** matches no repository's name"),
        ({"repositories": ["a"], "keepTags": [{"patterns": ["(?i)x"]}]}, "the pattern (?i)x has no equivalent"),
        (
            {"repositories": ["a"], "keepTags": [{"patterns": ["a/b"]}]},
            "keepTags keeps nothing, so zot removes all tags",
        ),
        ({"repositories": ["a"], "keepTags": [{"pushedWithin": "3 days"}]}, "pushedwithin: not a duration"),
        (
            {"repositories": ["a"], "keepTags": [{"mostRecentlyPushedCount": "x"}]},
            "mostrecentlypushedcount: not a number",
        ),
        (
            {"repositories": ["a"], "keepTags": [{"patterns": ["^v.+"], "mostRecentlyPushedCount": 3}]},
            "its patterns have no exact equivalent",
        ),
        ({"repositories": ["a"], "keepTag": []}, "policies.keeptag: a key that is ignored here"),
        ({"repositories": ["a"], "deleteReferrers": True}, "deleteReferrers: what refers to missing manifests"),
    ],
)
def test_what_is_left_is_said(folder: Path, policy: dict[str, Any], finding: str) -> None:
    control = {"accessControl": {"repositories": {"**": {"defaultPolicy": ["read"]}}}}
    result = imported(folder, {"http": control, "storage": {"retention": {"policies": [policy]}}})
    assert any(finding in one.sentence for one in result.findings), result.findings
    parsed(result)


def test_without_collection_nothing_is_removed(folder: Path) -> None:
    policy = {"repositories": ["a/**"], "keepTags": [{"mostRecentlyPushedCount": 3}]}
    result = imported(folder, {"storage": {"gc": False, "retention": {"policies": [policy]}}})
    assert [one.is_dry for one in parsed(result).retention] == [True]
    assert any("gc is false" in one.sentence for one in result.findings)
