import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from authproxy.cli.policy.app import app
from authproxy.identity.accounts import add_user
from authproxy.policy import DEFAULT_POLICY

USERS = "users:\n  root: {groups: [admins]}\n  ann: {}\n"


@pytest.fixture(autouse=True)
def _users(folder: Path) -> None:
    (folder / "data/users.yaml").write_text(USERS, encoding="utf-8")


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_who_may_push() -> None:
    result = ask("who-can", "push", "ann/app")
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        [
            'group admins: allowed by policies/default.yaml:7 "administrators"',
            'user ann: allowed by policies/default.yaml:18 "own space"',
            'user root: allowed by policies/default.yaml:7 "administrators"',
        ],
    )


def test_who_may_move_a_tag(folder: Path) -> None:
    (folder / "policies/tags.yaml").write_text(
        "version: 1\nrules:\n  - {name: stay, deny: [overwrite], to: {users: [ann]},"
        " on: {repositories: ['**'], tags: ['v*']}}\n",
        encoding="utf-8",
    )
    lines = ask("who-can", "overwrite", "ann/app:v1").stdout.splitlines()
    assert lines[-1] == 'not user ann: denied by policies/tags.yaml:3 "stay"'
    assert [line.partition(":")[0] for line in lines[:-1]] == ["group admins", "user root"]
    assert "not user ann" not in ask("who-can", "overwrite", "ann/app:dev").stdout


def test_the_catalog_has_no_repository() -> None:
    assert ask("who-can", "catalog").exit_code == 0
    assert ask("who-can", "catalog", "a").exit_code == 2


def test_nobody(folder: Path) -> None:
    (folder / "other.yaml").write_text(
        "version: 1\nrules:\n  - {name: x, deny: [push], to: {groups: [ops]}, on: {repositories: [a]}}\n",
        encoding="utf-8",
    )
    result = ask("who-can", "push", "a", "--policies", "other.yaml")
    assert (result.exit_code, result.stdout.splitlines()) == (
        1,
        ['not group ops: denied by other.yaml:3 "x"', "none of the callers that the rules and the users files mention"],
    )


@pytest.mark.parametrize("arguments", [("admin", "a"), ("push", "A"), ("push",), ("push", "**"), ("push,pull", "a")])
def test_bad_questions_are_told(arguments: tuple[str, ...]) -> None:
    result = ask("who-can", *arguments)
    assert (result.exit_code, "Traceback" in result.stdout) == (2, False)


def test_a_difference_is_told_and_ends_with_1(folder: Path) -> None:
    (folder / "draft.yaml").write_text(DEFAULT_POLICY.replace("[pull]", "[pull, delete]"), encoding="utf-8")
    result = ask("diff", "policies", "draft.yaml")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (1, "+ delete: signed-in on public/**")
    assert ask("diff", "policies", "policies").exit_code == 0
    assert ask("diff", "policies", "gone").exit_code == 2


def test_a_user_who_does_not_exist_is_not_listed(folder: Path) -> None:
    (folder / "team.yaml").write_text(
        "version: 1\nrules:\n"
        "  - {name: own, allow: [push], to: {signed-in: true}, on: {repositories: ['{user}/**']}}\n"
        "  - {name: bob, allow: [push], to: {users: [bob]}, on: {repositories: ['team/**']}}\n",
        encoding="utf-8",
    )
    result = ask("who-can", "push", "team/app", "--policies", "team.yaml")
    assert (result.exit_code, result.stdout) == (1, "none of the callers that the rules and the users files mention\n")
    assert "authproxy: no such user: bob, whom a rule names\n" in result.stderr
    add_user(folder / "data/htpasswd", None, "bob", "x", cost=4)
    result = ask("who-can", "push", "team/app", "--policies", "team.yaml")
    assert (result.exit_code, result.stdout) == (0, 'user bob: allowed by team.yaml:4 "bob"\n')
    assert "no such user" not in result.stderr


def test_without_files_of_users_any_user_may_exist(folder: Path) -> None:
    (folder / "data/htpasswd").unlink()
    (folder / "data/users.yaml").unlink()
    result = ask("who-can", "push", "team/app", "--policies", "policies")
    assert "user team: allowed by" in result.stdout
    assert "no such user" not in result.stderr


def test_the_answers_as_json() -> None:
    content = json.loads(ask("who-can", "push", "ann/app", "--json").stdout)
    assert content["access"] == "repository:ann/app:push"
    assert [one["who"] for one in content["allowed"]] == [
        {"kind": "group", "name": "admins"},
        {"kind": "user", "name": "ann"},
        {"kind": "user", "name": "root"},
    ]
    assert content["allowed"][0]["rule"] == 'policies/default.yaml:7 "administrators"'
    assert (content["perhaps"], content["denied"], content["unknown_users"]) == ([], [], [])


def test_a_difference_as_json(folder: Path) -> None:
    (folder / "draft.yaml").write_text(DEFAULT_POLICY.replace("[pull]", "[pull, delete]"), encoding="utf-8")
    result = ask("diff", "policies", "draft.yaml", "--json")
    (change,) = json.loads(result.stdout)["changes"]
    assert result.exit_code == 1
    assert (change["gains"], change["action"]) == (True, "delete")
    assert change["within"] == [{"who": {"kind": "signed-in"}, "repositories": "public/**", "tags": None, "when": None}]
