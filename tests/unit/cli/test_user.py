import datetime as dt
import inspect
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from authproxy.cli import user
from authproxy.config.embedded import Layout
from authproxy.errors import StartError
from authproxy.identity.accounts import read_groups
from authproxy.identity.bcrypt_hash import DEFAULT_COST, check_password, find_cost
from authproxy.identity.htpasswd import load_htpasswd
from authproxy.own_certificate import keep_certificate
from authproxy.policy import DEFAULT_POLICY

CONFIG = """\
version: 0.1
storage: {filesystem: {rootdirectory: registry}}
token: {service: s, keys: keys}
identities:
  - htpasswd: {path: people/htpasswd}
  - users: {path: people/users.yaml}
policies: {path: policies}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an embedded server that has been started once."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/htpasswd").touch()
    (tmp_path / "config.yml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def invoke(*arguments: str, stdin: str | bytes = "") -> Result:
    result = CliRunner().invoke(user.app, [*arguments], input=stdin)
    if isinstance(result.exception, StartError):
        raise result.exception
    return result


def add(name: str, *options: str, typed: str | bytes = "secret") -> Result:
    return invoke("add", name, "--password-stdin", "--cost", "4", *options, stdin=typed)


def hashed(name: str, path: str = "data/htpasswd") -> str:
    return load_htpasswd(Path(path)).entries[name].hashed or ""


@pytest.mark.parametrize("password", ["secret", "secret\n", "secret\r\n"])
def test_a_password_from_standard_input_ends_before_the_line_does(password: str) -> None:
    assert add("bob", typed=password).stdout == "added bob to data/htpasswd\n"
    assert check_password("secret", hashed("bob"))


def test_groups_go_to_the_users_file() -> None:
    add("bob", "--group", "team", "--group", "ops")
    assert read_groups(Path("data/users.yaml"))["bob"].groups == {"team", "ops"}


def test_a_robot_is_one_in_the_users_file_and_in_the_list() -> None:
    add("ci", "--robot", "--group", "builders")
    assert Path("data/users.yaml").read_text(encoding="utf-8") == "users:\n  ci: {groups: [builders], robot: true}\n"
    assert invoke("list").stdout == "ci  builders  robot\n"
    invoke("disable", "ci")
    assert invoke("list").stdout == "ci  builders  robot, disabled\n"


def test_a_configuration_says_which_files() -> None:
    add("bob", "--config", "config.yml", "--group", "team")
    assert check_password("secret", hashed("bob", "people/htpasswd"))
    assert "bob" in read_groups(Path("people/users.yaml"))
    assert invoke("list", "--config", "config.yml").stdout == "bob  team\n"


def test_a_changed_password_replaces_the_old_one() -> None:
    add("bob")
    invoke("password", "bob", "--password-stdin", "--cost", "4", stdin="other")
    assert check_password("other", hashed("bob"))
    assert not check_password("secret", hashed("bob"))


def test_of_several_entries_of_a_name_the_first_gets_the_password_and_the_others_go() -> None:
    add("bob")
    old = f"bob:{hashed('bob')}"
    Path("data/htpasswd").write_text(f"{old}:Bob of sales\n# team\n{old}\nann:x\n{old}\n")
    told = invoke("password", "bob", "--password-stdin", "--cost", "4", stdin="other").stdout
    assert told == (
        "changed the password of bob in data/htpasswd (line 1), and removed the other entries of this name:"
        " lines 3 and 5\n"
    )
    assert check_password("other", hashed("bob"))
    assert Path("data/htpasswd").read_text() == f"bob:{hashed('bob')}:Bob of sales\n# team\nann:x\n"


def test_all_entries_of_a_name_are_removed_and_told() -> None:
    Path("data/htpasswd").write_text("bob:x\nann:y\nbob:z\n")
    assert "note: data/htpasswd: names that are in several lines" in invoke("list").stderr
    assert invoke("remove", "bob").stdout == "removed bob from data/htpasswd: lines 1 and 3\n"
    assert Path("data/htpasswd").read_text() == "ann:y\n"


@pytest.fixture
def policies() -> None:
    Path("policies").mkdir()
    Path("policies/default.yaml").write_text(DEFAULT_POLICY, encoding="utf-8")


@pytest.mark.usefixtures("policies")
def test_a_name_that_opens_what_another_rule_is_about_is_refused_before_a_password_is_asked_for() -> None:
    with pytest.raises(StartError) as caught:
        invoke("add", "public", "--password-stdin", stdin="")
    assert 'default.yaml:18 "own space": the user public may pull, push, delete in public/**' in str(caught.value)
    assert "choose another name, or add the user all the same with --force" in str(caught.value)
    assert not Path("data/htpasswd").read_text()
    assert add("public", "--force").exit_code == 0
    assert add("publican").exit_code == 0


GROUPS = [
    ("a group that a rule names", "admins", [], 'the group admins (policies/default.yaml:7 "administrators")'),
    ("in another spelling", "Admins", [], "the group admins ("),
    ("a group of the users file", "ops", [], "the group ops (data/users.yaml)"),
    ("its own new group", "crew", ["--group", "crew"], "the group crew (--group)"),
]


@pytest.mark.usefixtures("policies")
@pytest.mark.parametrize(("name", "options", "group"), [row[1:] for row in GROUPS], ids=[row[0] for row in GROUPS])
def test_a_name_that_is_a_group_is_refused_before_a_password_is_asked_for(
    name: str, options: list[str], group: str
) -> None:
    Path("data/users.yaml").write_text("users: {bob: {groups: [ops]}}\n", encoding="utf-8")
    with pytest.raises(StartError) as caught:
        invoke("add", name, *options, "--password-stdin", stdin="")
    assert f"{name} would be a user with the name of {group}" in str(caught.value)
    assert "choose another name, or add the user all the same with --force" in str(caught.value)
    assert not Path("data/htpasswd").read_text()
    assert add(name, *options, "--force").exit_code == 0


def test_a_group_is_refused_as_a_name_without_policies_too() -> None:
    add("bob", "--group", "ops")
    with pytest.raises(StartError, match="the name of the group ops"):
        add("ops")


@pytest.mark.usefixtures("policies")
def test_a_new_user_is_told_what_the_policies_allow_and_what_to_type_next() -> None:
    result = add("alice")
    assert result.stdout == "added alice to data/htpasswd\nalice may: pull, push, delete alice/**; pull public/**\n"
    assert result.stderr.splitlines()[-2:] == [
        "next: docker login localhost:5000 -u alice",
        "next: authproxy policy explain alice push alice/app",
    ]
    assert "root may: pull, push, delete **; catalog\n" in add("root", "--group", "admins").stdout
    assert "Ann@x.org may: pull public/**\n" in add("Ann@x.org").stdout
    Path("policies/default.yaml").write_text(
        "version: 1\nrules:\n  - {name: x, allow: [pull], to: {any-robot: true}, on: {repositories: [a]}}\n"
    )
    assert "bob may: nothing\n" in add("bob").stdout
    assert "ci may: pull a\n" in add("ci", "--robot").stdout


@pytest.mark.usefixtures("policies")
def test_groups_of_an_entry_that_was_there_count() -> None:
    Path("data/users.yaml").write_text("users: {root: {groups: [admins]}}\n", encoding="utf-8")
    assert "root may: pull, push, delete **; catalog\n" in add("root").stdout


@pytest.mark.usefixtures("policies")
def test_a_new_user_as_json() -> None:
    result = add("alice", "--group", "team", "--json")
    content = json.loads(result.stdout)
    assert (content["user"], content["groups"], content["robot"]) == ("alice", ["team"], False)
    assert content["change"] == "added alice to data/htpasswd"
    assert content["may"] == [
        {
            "allowed": True,
            "actions": ["pull", "push", "delete"],
            "repositories": "alice/**",
            "tags": [],
            "when": None,
        },
        {"allowed": True, "actions": ["pull"], "repositories": "public/**", "tags": [], "when": None},
    ]


def test_the_changes_as_json() -> None:
    add("bob")
    add("ann")
    asked = [
        (["password", "bob", "--password-stdin", "--cost", "4"], "changed the password of bob in data/htpasswd"),
        (["disable", "bob"], "disabled bob in data/users.yaml"),
        (["enable", "bob"], "enabled bob in data/users.yaml"),
        (["expire", "bob", "2999-12-31"], "bob expires: 2999-12-31"),
        (["remove", "bob"], "removed bob from data/htpasswd"),
    ]
    for arguments, change in asked:
        assert json.loads(invoke(*arguments, "--json", stdin="x").stdout) == {"change": change, "user": "bob"}


def test_the_list_as_json() -> None:
    add("bob", "--group", "team", "--expires", "2001-01-01")
    add("ci", "--robot")
    with Path("data/htpasswd").open("a", encoding="utf-8") as file:
        file.write("old:$apr1$x\n")
    rest = {"groups": [], "robot": False, "disabled": False, "expires": None, "has_password": True, "can_log_in": True}
    assert json.loads(invoke("ls", "--json").stdout) == [
        rest | {"user": "bob", "groups": ["team"], "expires": "2001-01-01", "can_log_in": False},
        rest | {"user": "ci", "robot": True},
        rest | {"user": "old", "has_password": False, "can_log_in": False},
    ]


def test_an_expiry_that_is_past_has_a_note() -> None:
    note = "note: that is past, so bob cannot log in\n"
    assert note in add("bob", "--expires", "2001-01-01").stderr
    assert note in invoke("expire", "bob", "2001-01-01").stderr
    assert "note" not in invoke("expire", "bob", "2999-01-01").stderr
    assert "note" not in invoke("expire", "bob", "never").stderr


def test_a_name_that_differs_in_case_alone_has_a_note() -> None:
    add("alice")
    assert "note: alice is another user: upper and lower case count in names\n" in add("Alice").stderr


HOSTS = [
    ("http: {addr: ':5000'}", "localhost:5000"),
    ("http: {addr: '192.0.2.1:80'}", "192.0.2.1"),
    ("http: {addr: '[::1]:5000'}", "[::1]:5000"),
    ("http: {addr: ':443', host: 'https://r.example.org'}", "r.example.org"),
    ("http: {addr: /run/r.sock, net: unix}", "HOST"),
    ("http: {addr: 'localhost:0'}", "HOST"),
]


@pytest.mark.parametrize(("http", "host"), HOSTS, ids=[http for http, _ in HOSTS])
def test_the_login_to_type_names_the_registry(http: str, host: str) -> None:
    Path("config.yml").write_text(f"{CONFIG}{http}\n", encoding="utf-8")
    assert f"next: docker login {host} -u bob\n" in add("bob", "--config", "config.yml").stderr


@pytest.mark.usefixtures("policies")
def test_policies_that_do_not_load_keep_nobody_from_being_added() -> None:
    Path("policies/default.yaml").write_text("rules: 1\n")
    assert add("public").exit_code == 0


def test_a_removed_user_is_gone() -> None:
    add("bob", "--group", "team")
    assert invoke("remove", "bob", "--force").exit_code == 0
    assert invoke("list").stdout == ""


def test_the_list_says_who_cannot_log_in() -> None:
    add("bob", "--group", "team", "--group", "ops")
    add("alice")
    with Path("data/htpasswd").open("a", encoding="utf-8") as file:
        file.write("old:$apr1$x\n")
    users = Path("data/users.yaml")
    users.write_text(users.read_text("utf-8") + "  alice: {disabled: true}\n  ghost: {}\n", "utf-8")
    assert invoke("list").stdout == (
        "alice  -         disabled\n"
        "bob    ops,team\n"
        "ghost  -         cannot log in: no bcrypt password\n"
        "old    -         cannot log in: no bcrypt password\n"
    )


def test_an_expiry_is_shown_before_and_after_it() -> None:
    add("bob", "--expires", "2999-12-31")
    add("carol", "--expires", "2001-01-01T12:00:00+02:00")
    assert read_groups(Path("data/users.yaml"))["bob"].expires == dt.datetime(3000, 1, 1, tzinfo=dt.UTC)
    assert invoke("list").stdout == "bob    -  expires 2999-12-31\ncarol  -  expired 2001-01-01T10:00:00Z\n"


def test_a_user_expires_and_then_never() -> None:
    add("bob")
    assert invoke("expire", "bob", "2001-01-01").stdout == "bob expires: 2001-01-01\n"
    assert invoke("list").stdout == "bob  -  expired 2001-01-01\n"
    assert invoke("expire", "bob", "never").stdout == "bob never expires\n"
    assert invoke("list").stdout == "bob  -\n"


def test_a_user_is_disabled_and_enabled_and_keeps_groups_and_password() -> None:
    add("bob", "--group", "team")
    before = hashed("bob")
    invoke("disable", "bob")
    assert invoke("list").stdout == "bob  team  disabled\n"
    invoke("enable", "bob")
    assert invoke("list").stdout == "bob  team\n"
    assert hashed("bob") == before


def test_a_name_that_no_repository_can_have_is_added_with_a_note() -> None:
    result = add("Alice@example.org")
    assert "rules with {user} never match this user" in result.stderr
    assert check_password("secret", hashed("Alice@example.org"))


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["add", "a:b", "--password-stdin"], "x", "colon"),
        (["add", "bob", "--password-stdin"], "", "must not be empty"),
        (["add", "bob", "--password-stdin"], "x" * 73, "72 bytes"),
        (["add", "bob", "--password-stdin"], "a\0b", "control characters"),
        (["add", "bob", "--password-stdin"], b"\xff", "not UTF-8"),
        (["add", "bob", "--password-stdin", "--cost", "31"], "x", "choose 4 to 16"),
        (["add", "bob"], "", "use --password-stdin"),
        (["password", "bob", "--password-stdin"], "x", "user add bob"),
        (["remove", "bob"], "", "no user bob"),
        (["disable", "bob"], "", "no user bob"),
        (["enable", "bob"], "", "no user bob"),
        (["expire", "bob", "2026-12-31"], "", "no user bob"),
        (["expire", "bob", "soon"], "", "write 2026-12-31"),
        (["add", "bob", "--expires", "2026-12-31T10:00"], "", "time with its zone"),
        (["list", "--config", "gone.yml"], "", "gone.yml"),
        (["list", "--config", "open.yml"], "", "no htpasswd file is configured"),
    ],
)
def test_what_has_to_be_mended_is_said_in_a_sentence(arguments: list[str], stdin: str | bytes, message: str) -> None:
    Path("open.yml").write_text("version: 0.1\nstorage: {filesystem: {rootdirectory: registry}}\n", "utf-8")
    with pytest.raises(StartError, match=message):
        invoke(*arguments, stdin=stdin)
    assert Path("data/htpasswd").read_bytes() == b""


def test_a_name_that_is_taken_is_refused_before_a_password_is_asked_for() -> None:
    add("bob")
    with pytest.raises(StartError, match="already exists"):
        invoke("add", "bob")


def test_in_a_folder_without_a_server_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(StartError, match=r"there is no .*/elsewhere/data/htpasswd"):
        add("bob")
    assert not Path("data").exists()


def test_the_help_names_the_real_default() -> None:
    assert f"Default: {DEFAULT_COST}." in inspect.getsource(user)
    invoke("add", "bob", "--password-stdin", stdin="x")
    assert find_cost(hashed("bob")) == DEFAULT_COST


def type_passwords(*typed: str) -> tuple[int, str]:
    """Run `user add bob` at a terminal where these lines are typed; the exit code, and what the terminal showed."""
    terminal, end = pty.openpty()
    program = "from authproxy.cli.user import app; app()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "add", "bob", "--cost", "4"],
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    ) as process:
        os.close(end)
        shown = b""
        for line in (*typed, None):
            try:
                while not shown.endswith(b": ") or line is None:
                    shown += os.read(terminal, 1000)
            except OSError:  # the other end is closed: the program has ended
                break
            assert line is not None
            os.write(terminal, line.encode() + b"\n")
            shown += b"\n"
        code = process.wait(60)
    os.close(terminal)
    return code, shown.decode()


def test_a_password_is_asked_for_twice_and_not_shown() -> None:
    code, shown = type_passwords("s3cret", "s3cret")
    assert (code, shown.count("s3cret")) == (0, 0)
    assert check_password("s3cret", hashed("bob"))


def test_two_different_passwords_are_asked_for_again() -> None:
    code, shown = type_passwords("one", "two", "three", "three")
    assert code == 0
    assert "do not match" in shown
    assert check_password("three", hashed("bob"))


def test_the_login_to_type_has_the_name_that_the_server_was_started_with(folder: Path) -> None:
    keep_certificate(Layout(folder), ["*.lan", "registry.lan"], now=dt.datetime.now(dt.UTC))
    assert "next: docker login registry.lan:5000 -u bob\n" in add("bob").stderr


def test_a_short_password_is_taken_with_a_note() -> None:
    assert "note: the password is short: with 8 characters or more" in add("bob", typed="1234567").stderr
    assert "password is short" not in add("ann", typed="12345678").stderr
    assert "password is short" in invoke("password", "ann", "--password-stdin", "--cost", "4", stdin="x").stderr


def test_the_last_user_who_can_log_in_is_removed_only_by_force() -> None:
    add("bob")
    add("ann")
    invoke("disable", "ann")
    with pytest.raises(StartError, match=r"bob is the last user who can log in: .* with --force"):
        invoke("remove", "bob")
    assert invoke("remove", "ann").exit_code == 0, "she cannot"
    assert invoke("remove", "bob", "--force").stdout == "removed bob from data/htpasswd\n"


def test_of_two_users_one_is_removed_without_a_question() -> None:
    add("bob")
    add("ann")
    assert invoke("remove", "bob").stdout == "removed bob from data/htpasswd\n"


def test_a_user_who_cannot_log_in_does_not_count_as_another() -> None:
    add("bob")
    with Path("data/htpasswd").open("a") as file:
        file.write("old:plain\n")
    with pytest.raises(StartError, match="bob is the last user"):
        invoke("remove", "bob")
