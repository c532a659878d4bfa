import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from authproxy.cli.policy.app import app
from authproxy.identity.accounts import add_user

OWN = 'policies/default.yaml:18 "own space"'
OFFICE = """\
version: 1
rules:
  - {name: office, allow: [push], to: {everyone: true}, on: {repositories: ['**']},
     when: 'request.address.inNetwork("10.0.0.0/8")'}
  - {name: only by TLS, deny: [pull], to: {everyone: true}, on: {repositories: ['**']}, when: '!request.tls'}
  - {name: pull, allow: [pull], to: {everyone: true}, on: {repositories: ['open/**']}}
"""


@pytest.fixture(autouse=True)
def _users(folder: Path) -> None:
    add_user(folder / "data/htpasswd", folder / "data/users.yaml", "alice", "x", cost=4)
    add_user(folder / "data/htpasswd", folder / "data/users.yaml", "root", "x", ["admins"], cost=4)


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["can-i", *arguments])


ROWS = [
    ("own", ["push", "alice/app", "--as", "alice"], 0, f"yes: allowed by {OWN}"),
    ("another's", ["push", "bob/app", "--as", "alice"], 1, "no: no rule allows it"),
    ("several", ["pull,push", "alice/app", "--as", "alice"], 0, f"yes: pull, push: allowed by {OWN}"),
    ("one of several", ["pull,push", "public/app", "--as", "alice"], 1, "no: push: no rule allows it"),
    ("anonymous", ["pull", "public/app", "--anonymous"], 1, "no: no rule allows it"),
    ("a tag behind a colon", ["push", "alice/app:v1", "--as", "alice"], 0, f"yes: allowed by {OWN}"),
    ("a tag by option", ["push", "alice/app", "--tag", "v1", "--as", "alice"], 0, f"yes: allowed by {OWN}"),
    ("the catalog", ["catalog", "--as", "alice"], 1, "no: no rule allows it"),
    (
        "a group of the users file",
        ["catalog", "--as", "root"],
        0,
        'yes: allowed by policies/default.yaml:13 "administrators see the catalog"',
    ),
    (
        "a group by option",
        ["pull", "bob/app", "--as", "alice", "--group", "admins"],
        0,
        'yes: allowed by policies/default.yaml:7 "administrators"',
    ),
]


@pytest.mark.parametrize(("arguments", "code", "line"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_yes_or_no_and_the_rule_in_one_line(arguments: list[str], code: int, line: str) -> None:
    result = ask(*arguments)
    assert (result.exit_code, result.stdout) == (code, f"{line}\n")
    assert "no such user" not in result.stderr


CONDITIONS = [
    (["push", "a"], 2, "unknown: a condition needs --address, --tls or --at"),
    (["push", "a", "--address", "10.1.2.3"], 0, 'yes: allowed by office.yaml:3 "office"'),
    (["push", "a", "--address", "192.0.2.1"], 1, "no: no rule allows it"),
    (["pull", "open/a"], 2, "unknown: a condition needs --address, --tls or --at"),
    (["pull", "open/a", "--tls"], 0, 'yes: allowed by office.yaml:6 "pull"'),
    (["pull", "open/a", "--no-tls"], 1, 'no: denied by office.yaml:5 "only by TLS"'),
    (["pull", "closed/a"], 1, 'no: denied by office.yaml:5 "only by TLS"'),
    (["push,delete", "a"], 1, "no: push, delete: no rule allows it"),
]


@pytest.mark.parametrize(("arguments", "code", "line"), CONDITIONS, ids=[" ".join(row[0]) for row in CONDITIONS])
def test_what_depends_on_the_request_is_unknown_without_it(
    folder: Path, arguments: list[str], code: int, line: str
) -> None:
    (folder / "office.yaml").write_text(OFFICE, encoding="utf-8")
    result = ask(*arguments, "--as", "alice", "--policies", "office.yaml")
    assert (result.exit_code, result.stdout) == (code, f"{line}\n")


def test_json_has_each_decision(folder: Path) -> None:
    result = ask("pull,push", "public/app", "--as", "alice", "--json")
    content = json.loads(result.stdout)
    assert (result.exit_code, content["user"], content["allowed"]) == (1, "alice", False)
    assert [(one["access"], one["allowed"], one["rule"]) for one in content["decisions"]] == [
        ("repository:public/app:pull", True, 'policies/default.yaml:24 "public"'),
        ("repository:public/app:push", False, None),
    ]
    (folder / "office.yaml").write_text(OFFICE, encoding="utf-8")
    unknown = ask("push", "a", "--anonymous", "--policies", "office.yaml", "--json")
    assert (unknown.exit_code, json.loads(unknown.stdout)["allowed"]) == (2, None)


WRONG = [
    (["push", "a"], "say who asks: --as USER, or --anonymous"),
    (["push", "a", "--as", "alice", "--anonymous"], "say who asks: --as USER, or --anonymous"),
    (["push", "a", "--as", ""], "a name is needed"),
    (["pusch", "a", "--as", "alice"], '"pusch" is no action'),
    (["push", "--as", "alice"], "it is missing; write push team/app"),
    (["alice", "push", "team/app"], "authproxy policy can-i push team/app --as alice"),
    (["-", "pull,push", "team/app"], "authproxy policy can-i pull,push team/app --anonymous"),
    (["push", "team/app", "alice"], "nothing goes behind REPOSITORY, and alice does"),
    (["push", "a:v1", "--tag", "v2", "--as", "alice"], "no room for another tag"),
    (["catalog", "--tag", "v2", "--as", "alice"], "no room for another tag"),
    (["push", "a", "--as", "alice", "--policies", "gone"], "gone: cannot be read"),
]


@pytest.mark.parametrize(("arguments", "says"), WRONG, ids=[" ".join(row[0]) for row in WRONG])
def test_a_wrong_question_is_no_answer(arguments: list[str], says: str) -> None:
    result = ask(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr


def test_a_user_who_does_not_exist_is_told_and_decided_for() -> None:
    result = ask("push", "bob/app", "--as", "bob")
    assert result.exit_code == 0
    assert "no such user: alcie (did you mean alice?); below" in ask("push", "a", "--as", "alcie").stderr
    assert "authproxy: no such user: bob; below is what a new user of this name may do" in result.stderr
