import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from authproxy.cli import app
from authproxy.identity.users import read_users

HASH = "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC"
AUTH = f"""\
users:
  alice: {{password: "{HASH}", labels: {{group: [devs]}}}}
acl:
  - {{match: {{labels: {{group: devs}}, name: "team/*"}}, actions: [pull, push]}}
"""


GRANT = {"groups": ["devs"], "actions": ["read", "create"]}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "auth.yml").write_text(AUTH, encoding="utf-8")
    return tmp_path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["policy", *arguments])


def test_rules_go_to_standard_output_and_the_report_to_standard_error() -> None:
    result = invoke("import", "docker_auth", "auth.yml")
    assert result.exit_code == 1
    assert result.stdout.startswith("# From auth.yml: authproxy policy import docker_auth.")
    assert result.stderr == (
        "auth.yml: left behind: the group devs has to be given to alice; --users FILE writes a users file\n"
    )


def test_with_a_users_file_nothing_is_left_behind(folder: Path) -> None:
    result = invoke("import", "docker_auth", "auth.yml", "-o", "rules.yaml", "--users", "users.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert read_users(folder / "users.yaml")["alice"].groups == {"devs"}
    assert read_users(folder / "users.yaml")["alice"].hashed == HASH
    assert (folder / "users.yaml").stat().st_mode & 0o777 == 0o600
    assert invoke("check", "--policies", "rules.yaml").exit_code == 0
    assert invoke("test", "--strict", "--policies", "rules.yaml").exit_code == 0


@pytest.mark.parametrize("there", ["rules.yaml", "users.yaml"])
def test_a_file_that_is_there_is_replaced_by_force_alone(folder: Path, there: str) -> None:
    (folder / there).write_text("mine", encoding="utf-8")
    arguments = ("import", "docker_auth", "auth.yml", "-o", "rules.yaml", "--users", "users.yaml")
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert f"{there}: is there already" in result.stderr
    assert (folder / there).read_text(encoding="utf-8") == "mine"
    assert invoke(*arguments, "--force").exit_code == 0
    assert (folder / there).read_text(encoding="utf-8") != "mine"


def test_the_report_as_json() -> None:
    report = json.loads(invoke("import", "docker_auth", "auth.yml", "--report", "json").stderr)
    assert report["source"] == "auth.yml"
    assert [set(finding) for finding in report["findings"]] == [{"line", "kind", "sentence"}]


@pytest.mark.parametrize(
    ("text", "words"), [(None, "cannot be read"), ("acl: [", "not valid YAML"), ("{}", "has no acl")]
)
def test_an_unusable_file_is_exit_code_2(folder: Path, text: str | None, words: str) -> None:
    (folder / "auth.yml").unlink()
    if text is not None:
        (folder / "auth.yml").write_text(text, encoding="utf-8")
    result = invoke("import", "docker_auth", "auth.yml")
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize("user", ["a/b: {}", "alice: {password: plain}", 'alice: {labels: {group: ["a\\nb"]}}'])
def test_a_user_whom_no_users_file_of_ours_can_hold_is_left_behind(folder: Path, user: str) -> None:
    (folder / "auth.yml").write_text(
        f"users:\n  {user}\nacl:\n  - {{match: {{labels: {{group: devs}}}}, actions: [pull]}}\n", encoding="utf-8"
    )
    result = invoke("import", "docker_auth", "auth.yml", "--users", "users.yaml")
    assert result.exit_code == 1
    assert "auth.yml:2: left behind: the user" in result.stderr
    assert read_users(folder / "users.yaml") == {}


def test_zot_with_a_users_file(folder: Path) -> None:
    control = {"groups": {"devs": {"users": ["ann"]}}, "repositories": {"team/**": {"policies": [GRANT]}}}
    (folder / "zot.json").write_text(json.dumps({"http": {"accessControl": control}}), encoding="utf-8")
    assert invoke("import", "zot", "zot.json").exit_code == 1
    result = invoke("import", "zot", "zot.json", "-o", "rules.yaml", "--users", "users.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert read_users(folder / "users.yaml")["ann"].groups == {"devs"}
    assert invoke("check", "--policies", "rules.yaml").exit_code == 0
    assert invoke("test", "--strict", "--policies", "rules.yaml").exit_code == 0
