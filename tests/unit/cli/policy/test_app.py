import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from authproxy.cli.policy.app import app
from authproxy.identity.accounts import add_user
from authproxy.policy import DEFAULT_POLICY

OWN = 'policies/default.yaml:18 "own space"'
ADMINISTRATORS = 'policies/default.yaml:7 "administrators"'

CONFIG = """\
version: 0.1
storage: {filesystem: {rootdirectory: registry}}
token: {service: s, keys: keys}
identities:
  - htpasswd: {path: htpasswd}
  - users: {path: people.yaml}
policies: {path: rules.yaml}
"""


@pytest.fixture(autouse=True)
def _users(folder: Path) -> None:
    (folder / "data/users.yaml").write_text(
        "users:\n  root: {groups: [admins]}\n  gone: {groups: [admins], disabled: true}\n", encoding="utf-8"
    )


def explain(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["explain", *arguments])


def test_an_allowed_access_names_file_line_and_rule() -> None:
    result = explain("alice", "repository:alice/app:push")
    assert (result.exit_code, result.stdout) == (0, f"alice asks repository:alice/app:push\n  allowed by {OWN}\n")


def test_a_denied_access_says_what_was_near() -> None:
    result = explain("alice", "repository:bob/app:push")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "alice asks repository:bob/app:push",
        "  denied: no rule allows it",
        f"  near: {OWN} (allow pull, push, delete to signed-in on {{user}}/**): the repository does not match",
        f"  near: {ADMINISTRATORS} (allow pull, push, delete to group admins on **): alice is not in the group admins",
    ]


def test_actions_with_a_repository_behind_them_are_a_scope_too() -> None:
    as_scope = explain("alice", "repository:alice/app:pull,push")
    as_words = explain("alice", "pull,push", "alice/app")
    assert (as_words.exit_code, as_words.stdout) == (0, as_scope.stdout)
    assert explain("root", "catalog").stdout == explain("root", "registry:catalog:*").stdout


def test_a_tag_stands_behind_the_repository(folder: Path) -> None:
    (folder / "policies/tags.yaml").write_text(
        "version: 1\nrules:\n  - {name: stay, deny: [overwrite], to: {everyone: true},"
        " on: {repositories: ['**'], tags: ['v*']}}\n",
        encoding="utf-8",
    )
    result = explain("alice", "push,overwrite", "alice/app:v1")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[:4] == [
        "alice asks repository:alice/app:push with tag v1",
        f"  allowed by {OWN}",
        "alice asks repository:alice/app:overwrite with tag v1",
        '  denied by policies/tags.yaml:3 "stay"',
    ]
    assert explain("alice", "push,overwrite", "alice/app:dev").exit_code == 0


def test_address_and_tls_are_for_conditions(folder: Path) -> None:
    (folder / "office.yaml").write_text(
        "version: 1\nrules:\n  - {name: office, allow: [push], to: {everyone: true}, on: {repositories: ['**']},"
        " when: 'request.tls && request.address.inNetwork(\"10.0.0.0/8\")'}\n",
        encoding="utf-8",
    )

    def ask(*how: str) -> int:
        return explain("alice", "push", "a", "--policies", "office.yaml", *how).exit_code

    assert ask("--address", "10.1.2.3", "--tls") == 0
    assert [ask(), ask("--address", "10.1.2.3"), ask("--address", "10.1.2.3", "--no-tls")] == [1, 1, 1]


def test_one_denied_action_of_several_is_enough_for_exit_code_1() -> None:
    result = explain("alice", "repository:public/app:pull,push")
    assert result.exit_code == 1
    assert 'allowed by policies/default.yaml:24 "public"' in result.stdout
    assert "alice asks repository:public/app:push\n  denied" in result.stdout


def test_groups_come_from_the_users_file() -> None:
    assert explain("root", "repository:bob/app:delete registry:catalog:*").exit_code == 0


def test_groups_of_the_command_line_replace_those_of_the_users_file() -> None:
    assert explain("root", "registry:catalog:*", "--group", "devs").exit_code == 1
    assert explain("alice", "registry:catalog:*", "--group", "devs", "--group", "admins").exit_code == 0


def test_who_is_a_robot_is_said_by_the_users_file_or_the_command_line(folder: Path) -> None:
    (folder / "data/users.yaml").write_text("users:\n  ci: {groups: [builders], robot: true}\n", encoding="utf-8")
    (folder / "robots.yaml").write_text(
        "version: 1\nrules:\n  - {name: ours, allow: [push], to: {robots: [ci, bot]}, on: {repositories: ['**']}}\n",
        encoding="utf-8",
    )

    def ask(*arguments: str) -> int:
        return explain(*arguments, "--policies", "robots.yaml").exit_code

    assert ask("ci", "push", "a") == 0
    assert ask("ci", "push", "a", "--group", "other") == 0
    assert (ask("bot", "push", "a"), ask("bot", "push", "a", "--robot")) == (1, 0)


def test_a_disabled_user_is_told_of() -> None:
    result = explain("gone", "registry:catalog:*")
    assert result.exit_code == 0
    assert "gone is disabled" in result.stderr


def test_without_a_users_file_there_are_no_groups(folder: Path) -> None:
    (folder / "data/users.yaml").unlink()
    assert explain("root", "registry:catalog:*").exit_code == 1


def test_a_dash_is_a_caller_without_credentials() -> None:
    result = explain("-", "repository:public/app:pull")
    assert result.exit_code == 1
    assert result.stdout.startswith("anonymous asks repository:public/app:pull\n")


def test_other_policies_can_be_asked(folder: Path) -> None:
    (folder / "draft.yaml").write_text(DEFAULT_POLICY.replace("signed-in", "anonymous"), encoding="utf-8")
    result = explain("-", "repository:public/app:pull", "--policies", "draft.yaml")
    assert (result.exit_code, result.stdout.splitlines()[1]) == (0, '  allowed by draft.yaml:24 "public"')


def test_a_configuration_says_where_policies_and_users_are(folder: Path) -> None:
    (folder / "config.yml").write_text(CONFIG, encoding="utf-8")
    (folder / "rules.yaml").write_text(DEFAULT_POLICY, encoding="utf-8")
    (folder / "people.yaml").write_text("users: {alice: {groups: [admins]}}\n", encoding="utf-8")
    result = explain("alice", "registry:catalog:*", "--config", "config.yml")
    assert result.exit_code == 0, result.stdout
    assert 'allowed by rules.yaml:13 "administrators see the catalog"' in result.stdout
    assert explain("root", "registry:catalog:*", "--config", "config.yml").exit_code == 1


def test_a_configuration_without_policies_is_refused(folder: Path) -> None:
    (folder / "config.yml").write_text(
        "version: 0.1\nstorage: {filesystem: {rootdirectory: r}}\nauth: {htpasswd: {realm: r, path: h}}\n",
        encoding="utf-8",
    )
    result = explain("alice", "registry:catalog:*", "--config", "config.yml")
    assert result.exit_code == 2
    assert "config.yml: names no policies" in result.stderr
    assert (
        explain("alice", "repository:alice/a:pull", "--config", "config.yml", "--policies", "policies").exit_code == 0
    )


BAD_ARGUMENTS = [
    ("no scope", ("alice", ""), "is not a scope"),
    ("a repository alone", ("alice", "team/app"), "is not a scope"),
    ("no action", ("alice", "repository:team/app:"), "is not a scope"),
    ("one of two is none", ("alice", "repository:a:pull b"), "is not a scope"),
    ("no such action", ("alice", "pusch", "team/app"), '"pusch" is no action; allowed: pull, push, delete, create'),
    ("a scope and a repository", ("alice", "repository:a:pull", "a"), "is no action"),
    ("a name that is none", ("alice", "push", "Team"), '"Team" is not one: a repository name'),
    ("a tag that is none", ("alice", "push", "team:-"), '"team:-" is not one: a tag'),
    ("a repository of the catalog", ("alice", "catalog", "a"), "the catalog has no repository"),
    ("no address", ("alice", "push", "a", "--address", "home"), '"home" is not an address'),
    ("an empty user", ("", "repository:a:pull"), "a name is needed"),
    ("groups of nobody", ("-", "repository:a:pull", "--group", "g"), "has no groups"),
    ("a robot that is nobody", ("-", "repository:a:pull", "--robot"), "is no robot"),
    ("no such policies", ("alice", "repository:a:pull", "--policies", "gone"), "authproxy: gone: cannot be read"),
    ("no such configuration", ("alice", "repository:a:pull", "--config", "gone"), "authproxy: gone: cannot be read"),
]


@pytest.mark.parametrize(("arguments", "says"), [row[1:] for row in BAD_ARGUMENTS], ids=[r[0] for r in BAD_ARGUMENTS])
def test_bad_arguments_are_told_without_a_traceback(arguments: tuple[str, ...], says: str) -> None:
    result = explain(*arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert "Traceback" not in result.stdout


def test_broken_files_are_told_without_a_traceback(folder: Path) -> None:
    (folder / "data/users.yaml").write_text("user: {}\n", encoding="utf-8")
    result = explain("alice", "repository:a:pull")
    assert (result.exit_code, "data/users.yaml:1: user: unknown key" in result.stderr) == (2, True)
    (folder / "data/users.yaml").unlink()
    (folder / "policies/default.yaml").write_text("version: 1\nrules: [1]\n", encoding="utf-8")
    result = explain("alice", "repository:a:pull")
    assert (result.exit_code, "policies/default.yaml:2: rules.0: " in result.stderr) == (2, True)


def test_a_user_who_does_not_exist_is_told_and_decided_for(folder: Path) -> None:
    result = explain("bob", "push", "bob/app")
    assert (result.exit_code, result.stdout.splitlines()[1]) == (0, f"  allowed by {OWN}")
    assert "no such user: rooot (did you mean root?); below" in explain("rooot", "push", "a").stderr
    assert "authproxy: no such user: bob; below is what a new user of this name may do\n" in result.stderr
    for known in (
        ("root", "push", "a"),
        ("-", "pull", "a"),
        ("bob", "push", "a", "--group", "x"),
        ("bob", "push", "a", "--robot"),
    ):
        assert "no such user" not in explain(*known).stderr
    add_user(folder / "data/htpasswd", None, "bob", "x", cost=4)
    assert "no such user" not in explain("bob", "push", "bob/app").stderr


def test_without_files_of_users_any_user_may_exist(folder: Path) -> None:
    (folder / "data/htpasswd").unlink()
    (folder / "data/users.yaml").unlink()
    assert "no such user" not in explain("bob", "push", "bob/app", "--policies", "policies").stderr


def test_an_expired_user_is_told_of(folder: Path) -> None:
    (folder / "data/users.yaml").write_text("users: {root: {expires: 2001-01-01}}\n", encoding="utf-8")
    assert "root has expired: whatever the policies say, no token is issued" in explain("root", "push", "a").stderr


def test_an_explanation_as_json() -> None:
    result = explain("root", "pull,push", "bob/app", "--group", "x", "--json")
    content = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (content["user"], content["groups"], content["robot"], content["allowed"]) == ("root", ["x"], False, False)
    first = content["decisions"][0]
    assert (first["access"], first["allowed"], first["rule"]) == ("repository:bob/app:pull", False, None)
    assert first["reason"] == "no rule allows it"
    assert first["near"][0] == {"rule": OWN, "why_not": "the repository does not match"}


def test_what_check_and_test_found_as_json(folder: Path) -> None:
    (folder / "data/htpasswd").write_text("public:x\n", encoding="utf-8")
    (folder / "policies/more.yaml").write_text(
        "version: 1\nrules:\n  - {name: again, allow: [pull], to: {groups: [admins]}, on: {repositories: [a]}}\n"
        "tests:\n  - {who: {user: zoe}, what: 'repository:a:pull', expected: allow, why: It was.}\n",
        encoding="utf-8",
    )
    result = CliRunner().invoke(app, ["check", "--json"])
    content = json.loads(result.stdout)
    assert (result.exit_code, content["rules"]) == (1, 5)
    assert [(one["file"], one["line"]) for one in content["findings"]] == [("policies/more.yaml", 3)]
    assert [(one["kind"], one["name"], one["repositories"]) for one in content["shared_names"]] == [
        ("user", "public", "public/**")
    ]
    result = CliRunner().invoke(app, ["test", "--json"])
    content = json.loads(result.stdout)
    assert (result.exit_code, content["cases"], content["rules"], len(content["failed"])) == (1, 10, 5, 1)
    assert content["failed"][0]["place"] == "policies/more.yaml:5"
    assert content["failed"][0]["faults"] == ["pull: expected allow, but it is denied: no rule allows it"]
    assert content["failed"][0]["why"] == "It was."
    assert content["untested"] == ['policies/more.yaml:3 "again"']


def test_claims_are_given_by_options(folder: Path) -> None:
    (folder / "claims.yaml").write_text(
        "version: 1\nrules:\n"
        "  - {name: by value, allow: [pull], to: {claims: {project: [blue]}}, on: {repositories: [a]}}\n"
        "  - {name: by place, allow: [push], to: {signed-in: true}, on: {repositories: ['{claims.project}/**']}}\n",
        encoding="utf-8",
    )

    def ask(*arguments: str) -> Result:
        return explain("bob", *arguments, "--policies", "claims.yaml")

    assert ask("pull", "a", "--claim", "project=blue").exit_code == 0
    assert "no such user" not in ask("pull", "a", "--claim", "project=blue").stderr
    assert ask("push", "red/a", "--claim", "project=blue", "--claim", "project=red").exit_code == 0
    assert ask("pull", "a", "--claim", "project=red").exit_code == 1
    assert "has no claim project=blue" in ask("pull", "a").stdout
    assert '"project" is no claim; allowed: NAME=VALUE' in ask("pull", "a", "--claim", "project").stderr
    assert "has no claims" in explain("-", "pull", "a", "--claim", "x=y").stderr
    result = CliRunner().invoke(
        app, ["can-i", "pull", "a", "--as", "bob", "--claim", "project=blue", "--policies", "claims.yaml"]
    )
    assert (result.exit_code, result.stdout) == (0, 'yes: allowed by claims.yaml:3 "by value"\n')
