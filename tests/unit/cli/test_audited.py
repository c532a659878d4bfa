"""What a command changes is told to whoever runs it and to the audit log."""

import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from authproxy.cli import app as root
from authproxy.cli.audited import operator, tell_change
from authproxy.config.load import load
from authproxy.config.settings import Settings
from authproxy.token.keyring import KeyRing

CONFIG = """\
version: 0.1
storage: {inmemory: {}}
token: {keys: keys}
policies: {path: rules.yaml}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUDO_USER", "operator")
    return tmp_path


def configured(audit: str) -> Settings:
    return load(configure(audit), {}).settings


def configure(audit: str) -> Path:
    path = Path("config.yml")
    path.write_text(f"{CONFIG}{audit}\n", encoding="utf-8")
    return path


def line(path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(path).read_bytes())
    return found


def test_a_change_is_a_line_with_who_made_it(capsys: pytest.CaptureFixture[str]) -> None:
    tell_change("added alice", configured("audit: {file: {path: audit.log}, stdout: true}"))
    assert capsys.readouterr().out == "added alice\n"
    told = line("audit.log")
    assert (told["kind"], told["user"], told["source"], told["reason"]) == (
        "admin change",
        "operator",
        "shell",
        "added alice",
    )


def test_a_configuration_without_an_audit_log_gets_none(folder: Path) -> None:
    tell_change("added alice", configured(""))
    assert [path.name for path in folder.iterdir()] == ["config.yml"]


NOT_WRITTEN = {
    "no folder": ("audit: {file: {path: missing/audit.log}}", "audit.file.path: the folder missing does not exist"),
    "no daemon": ("audit: {syslog: {address: /missing/log}}", "the change is not in the audit log (syslog)"),
}


@pytest.mark.parametrize(("audit", "warning"), NOT_WRITTEN.values(), ids=NOT_WRITTEN)
def test_a_log_that_cannot_be_written_is_a_warning(
    audit: str, warning: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_change("added alice", configured(audit))
    captured = capsys.readouterr()
    assert captured.out.startswith("added alice\n")
    assert warning in captured.err


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SUDO_USER", "LOGNAME", "USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("authproxy.cli.audited._ACCOUNT", 4711)
    tell_change("added alice", configured("audit: {file: {path: audit.log}}"))
    assert line("audit.log")["user"] == "4711"


def test_the_operator_is_who_started_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not the owner of a storage, whose account it has taken since."""
    for name in ("SUDO_USER", "LOGNAME", "USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert operator() == pwd.getpwuid(os.geteuid()).pw_name


def test_what_commands_change_is_in_the_log_of_the_configuration(folder: Path) -> None:
    Path("htpasswd").touch()
    config = configure(
        "audit: {file: {path: audit.log}}\nidentities: [{htpasswd: {path: htpasswd}}, {users: {path: users.yaml}}]"
    ).rename("full.yml")
    config.write_text(config.read_text().replace("token: {keys: keys}", "token: {keys: keys, state: state}"))
    KeyRing.open(folder / "keys")
    commands = [
        ["user", "add", "alice", "--password-stdin", "--cost", "4"],
        ["user", "password", "alice", "--password-stdin", "--cost", "4"],
        ["user", "disable", "alice"],
        ["user", "enable", "alice"],
        ["user", "expire", "alice", "2030-01-01"],
        ["user", "remove", "alice", "--force"],
        ["token", "revoke", "alice"],
        ["key", "rotate", "--json"],
    ]
    for command in commands:
        result = CliRunner().invoke(root, [*command, "--config", "full.yml"], input="hunter2-hunter2\n")
        assert result.exit_code == 0, result.output
    text = Path("audit.log").read_text(encoding="utf-8")
    told = [json.loads(raw)["reason"] for raw in text.splitlines()]
    beginnings = ["added alice", "changed", "disabled", "enabled", "alice expires", "removed", "revoked", "added "]
    assert [change.startswith(beginning) for change, beginning in zip(told, beginnings, strict=True)] == [True] * 8
    assert "hunter2" not in text
