from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from authproxy.cli.policy.app import app
from authproxy.policy import DEFAULT_POLICY

pytestmark = pytest.mark.usefixtures("folder")


def decide_cases(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["test", *arguments])


def test_the_default_policy_passes() -> None:
    result = decide_cases("--strict")
    assert (result.exit_code, result.stdout) == (0, "9 cases, 0 failed; 4 of 4 rules decided in some\n")


def test_a_failed_case_is_told_and_ends_with_1(folder: Path) -> None:
    path = folder / "policies/default.yaml"
    path.write_text(DEFAULT_POLICY.replace('["{user}/**"]', '["**"]'), encoding="utf-8")
    result = decide_cases()
    assert result.exit_code == 1
    assert result.stdout.splitlines()[:5] == [
        "failed: policies/default.yaml:35: alice asks repository:bob/app:*",
        '  pull: expected deny, but it is allowed by policies/default.yaml:18 "own space"',
        '  push: expected deny, but it is allowed by policies/default.yaml:18 "own space"',
        '  delete: expected deny, but it is allowed by policies/default.yaml:18 "own space"',
        "  why: Each has a space of their own.",
    ]


def test_an_untested_rule_is_named_and_fails_where_it_is_strict(folder: Path) -> None:
    (folder / "policies/more.yaml").write_text(
        "version: 1\nrules:\n  - {name: more, deny: [push], to: {everyone: true}, on: {repositories: [x]}}\n",
        encoding="utf-8",
    )
    result = decide_cases()
    assert result.exit_code == 0
    assert 'untested: policies/more.yaml:3 "more" decides in no case\n' in result.stdout
    assert decide_cases("--strict").exit_code == 1


def test_the_outcome_is_written_for_a_ci(folder: Path) -> None:
    assert decide_cases("--junit", "out.xml").exit_code == 0
    root = ET.fromstring((folder / "out.xml").read_text(encoding="utf-8"))  # noqa: S314  our own text
    assert [suite.get("tests") for suite in root] == ["9"]


def test_without_cases_it_cannot_be_told(folder: Path) -> None:
    (folder / "policies/default.yaml").write_text(DEFAULT_POLICY.partition("tests:")[0], encoding="utf-8")
    result = decide_cases()
    assert (result.exit_code, result.stderr.splitlines()[1:]) == (
        2,
        ["authproxy: policies: holds no cases; write them under tests: beside the rules"],
    )


def test_files_that_do_not_load_and_a_report_that_cannot_be_written_are_told() -> None:
    assert decide_cases("--policies", "gone").exit_code == 2
    result = decide_cases("--junit", "no/such/folder/out.xml")
    assert (result.exit_code, "cannot be written" in result.stderr) == (2, True)


RETENTION = """version: 1
retention:
  - name: builds
    on: {repositories: ["team/**"]}
    keep: [{tags: ["v*"]}, {pushed-within: 30d}, {images: /gone}]
  - {name: other, on: {repositories: [other]}, keep: [{newest: 1}]}
retention-tests:
  - repository: team/app
    images: {v1: {pushed: 900d}, pr-7: {pushed: 60d}, pr-8: {pushed: 60d}, pr-9: {}}
    running: [r.example.org/team/app:pr-8]
    removed: [pr-7, pr-9]
  - {repository: team/app, images: {pr-7: {}}, records-began: 9d, removed: [], why: Records are new.}
"""


def test_cases_of_retention_run_beside_the_others(folder: Path) -> None:
    path = folder / "policies/retention.yaml"
    path.write_text(RETENTION, encoding="utf-8")
    result = decide_cases()
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        [
            'untested: policies/retention.yaml:6 "other" decides in no case',
            "11 cases, 0 failed; 5 of 6 rules decided in some",
        ],
    )
    path.write_text(RETENTION.replace("30d", "70d"), encoding="utf-8")
    result = decide_cases("--junit", "out.xml")
    assert (result.exit_code, result.stdout.splitlines()[:3]) == (
        1,
        [
            "failed: policies/retention.yaml:8: retention of team/app",
            '  pr-7: expected to be removed, but it is kept by policies/retention.yaml:5 "builds": pushed-within 70d',
            'untested: policies/retention.yaml:6 "other" decides in no case',
        ],
    )
    root = ET.fromstring((folder / "out.xml").read_text(encoding="utf-8"))  # noqa: S314  our own text
    assert [suite.get("failures") for suite in root] == ["0", "1"]


def test_retention_alone_is_a_draft_and_no_policy_of_a_server(folder: Path) -> None:
    (folder / "alone.yaml").write_text(RETENTION, encoding="utf-8")
    assert decide_cases("--policies", "alone.yaml").stdout.splitlines()[-1].startswith("2 cases, 0 failed;")
    (folder / "policies/default.yaml").write_text(RETENTION, encoding="utf-8")
    result = decide_cases()
    assert (result.exit_code, "contains no rule, so no access would be allowed" in result.stderr) == (2, True)
