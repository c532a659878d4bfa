from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from authproxy.cli.policy.app import app

NOBODY = 'the users files have no user in the group "admins"'


pytestmark = pytest.mark.usefixtures("folder")


def check(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", *arguments])


def test_the_default_policy_is_clean() -> None:
    result = check()
    assert (result.exit_code, result.stdout) == (0, "4 rules: every one has an effect\n")


def test_a_group_that_no_users_file_knows_is_a_finding(folder: Path) -> None:
    (folder / "data/users.yaml").write_text("users: {root: {groups: [ops]}}\n", encoding="utf-8")
    result = check()
    assert (result.exit_code, result.stdout.splitlines()) == (
        1,
        [
            f'policies/default.yaml:7 "administrators": {NOBODY}',
            f'policies/default.yaml:13 "administrators see the catalog": {NOBODY}',
        ],
    )


def test_a_robot_that_no_users_file_knows_is_a_finding(folder: Path) -> None:
    (folder / "data/users.yaml").write_text("users: {ci: {}, bot: {robot: true}, root: {groups: [admins]}}\n", "utf-8")
    (folder / "policies/x.yaml").write_text(
        "version: 1\nrules:\n  - {name: x, allow: [push], to: {robots: [ci, bot]}, on: {repositories: [ci/a]}}\n",
        encoding="utf-8",
    )
    result = check()
    assert (result.exit_code, result.stdout) == (
        1,
        'policies/x.yaml:3 "x": there is no robot "ci" in the users files\n',
    )


def test_a_shadowed_rule_is_a_finding(folder: Path) -> None:
    (folder / "policies/x.yaml").write_text(
        "version: 1\nrules:\n  - {name: x, allow: [pull], to: {groups: [admins]}, on: {repositories: [a]}}\n",
        encoding="utf-8",
    )
    result = check()
    assert (result.exit_code, result.stdout) == (
        1,
        'policies/x.yaml:3 "x": it changes nothing: policies/default.yaml:7 "administrators" allows all of it\n',
    )


def test_files_that_do_not_load_are_told() -> None:
    result = check("--policies", "gone")
    assert (result.exit_code, result.stderr.splitlines()[1:]) == (
        2,
        ["authproxy: gone: cannot be read: No such file or directory"],
    )
