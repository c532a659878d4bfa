"""`authproxy audit verify|tail|search` on files as a server writes them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from authproxy.access import parse_scopes
from authproxy.audit.event import Event, EventKind
from authproxy.audit.file import FileSink
from authproxy.audit.log import AuditLog
from authproxy.cli.audit.app import app
from authproxy.principal import Principal

NOW = 1_767_323_045.678901  # 2026-01-02T03:04:05.678901Z
APP = parse_scopes(["repository:team/app:pull"])

CONFIG = """\
version: 0.1
storage: {inmemory: {}}
token: {keys: keys}
policies: {path: rules.yaml}
audit: {file: {path: audit.log}}
"""


def write(events: list[Event], *, at: float = NOW) -> None:
    audit = AuditLog(FileSink(Path("audit.log"), max_bytes=1_000_000, keep=3), now=lambda: at)
    for event in events:
        audit.record(event)
    audit.close()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("config.yml").write_text(CONFIG, encoding="utf-8")
    write(
        [
            Event(
                EventKind.TOKEN_ISSUED, Principal("alice", source="htpasswd"), asked=APP, granted=APP, token_id="t-1"
            ),
            Event(
                EventKind.LOGIN_REFUSED, Principal("bob"), client="10.0.0.7", reason="incorrect username or password"
            ),
        ]
    )
    write([Event(EventKind.TOKEN_CUT_DOWN, asked=APP, request_id="r-1")], at=NOW + 60)
    return tmp_path


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_a_whole_log_is_told_with_its_head() -> None:
    result = ask("verify", "audit.log")
    assert result.exit_code == 0
    writer, verdict = result.stdout.splitlines()
    assert ": 1 to 3; head " in writer
    assert verdict == "3 lines: whole"
    assert ask("verify", "audit.log", "--head", writer.rpartition(" ")[2]).exit_code == 0


def test_the_files_are_those_of_the_configuration() -> None:
    Path("audit.log").rename("audit.log.1")
    write([Event(EventKind.ADMIN_CHANGE, reason="a change")])
    result = ask("verify", "--config", "config.yml")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "4 lines: whole")


def test_a_changed_line_is_named_by_file_and_line() -> None:
    log = Path("audit.log")
    log.write_bytes(log.read_bytes().replace(b'"bob"', b'"eve"'))
    result = ask("verify", "audit.log")
    assert result.exit_code == 1
    assert result.stdout.startswith("audit.log:2: this line was changed")
    assert result.stdout.splitlines()[-1] == "3 lines: 1 fault"


def test_a_cut_tail_shows_with_a_saved_head() -> None:
    head = ask("verify", "audit.log").stdout.splitlines()[0].rpartition(" ")[2]
    log = Path("audit.log")
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:2]))
    assert ask("verify", "audit.log").exit_code == 0
    result = ask("verify", "audit.log", "--head", head)
    assert result.exit_code == 1
    assert f"no line has the hash {head}" in result.stdout


def test_lines_that_rotation_removed_and_those_of_others_are_told() -> None:
    log = Path("audit.log")
    log.write_bytes(b"listening\n" + b"".join(log.read_bytes().splitlines(keepends=True)[1:]))
    lines = ask("verify", "audit.log").stdout.splitlines()
    assert lines[0] == "passed over: 1 line of other output"
    assert ": 2 to 3, older lines are not in these files; head " in lines[1]


CANNOT = {
    "no such file": (["verify", "missing.log"], "authproxy: missing.log: cannot be read: No such file or directory"),
    "no configuration": (["search", "--config", "missing.yml"], "missing.yml: cannot be read"),
    "no log yet": (["tail", "--config", "config.yml"], "authproxy: audit.log: there is no audit log yet"),
    "no log at all": (["tail", "--config", "plain.yml"], "keeps no audit log in a file; give the files of the log"),
}


@pytest.mark.parametrize(("arguments", "message"), CANNOT.values(), ids=CANNOT)
def test_what_cannot_be_read_is_exit_code_2(arguments: list[str], message: str) -> None:
    Path("audit.log").unlink()
    Path("plain.yml").write_text("version: 0.1\nstorage: {inmemory: {}}\nauth: none\n", encoding="utf-8")
    result = ask(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_the_tail_is_shown_for_people_and_as_it_stands() -> None:
    assert ask("tail", "audit.log", "-n", "1").stdout.splitlines() == [
        "2026-01-02T03:05:05.678901Z  token cut down  anonymous",
        "    asked repository:team/app:pull",
        "    granted nothing",
    ]
    raw = Path("audit.log").read_text(encoding="utf-8").splitlines()
    assert ask("tail", "--config", "config.yml", "-n", "2", "--json").stdout.splitlines() == raw[1:]
    assert ask("tail", "audit.log", "-n", "0").stdout == ""


def test_the_tail_is_followed_until_somebody_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def pass_time(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            write([Event(EventKind.ADMIN_CHANGE, Principal("root"))])
        elif looks == 2:
            Path("audit-2.log").write_bytes(Path("audit.log").read_bytes().splitlines(keepends=True)[1])
        else:
            raise KeyboardInterrupt

    monkeypatch.setattr("authproxy.cli.audit.app.time.sleep", pass_time)
    result = ask("tail", "--config", "config.yml", "-n", "0", "--follow")
    assert result.exit_code == 0
    assert [line.split("  ")[1:] for line in result.stdout.splitlines() if not line.startswith(" ")] == [
        ["admin change", "root"],
        ["login refused", "bob from 10.0.0.7"],
    ]


def test_a_reader_who_has_seen_enough_is_no_fault() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "authproxy", "audit", "tail", "audit.log"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


SEARCHES = {
    "a user": (["--user", "bob"], ["login refused"]),
    "nobody": (["--user", ""], ["token cut down"]),
    "a repository": (["--repository", "team/*"], ["token issued", "token cut down"]),
    "a client": (["--client", "10.0.0.7"], ["login refused"]),
    "a kind": (["--kind", "token issued"], ["token issued"]),
    "a request": (["--request-id", "r-1"], ["token cut down"]),
    "a token": (["--jti", "t-1"], ["token issued"]),
    "denials": (["--denied"], ["login refused", "token cut down"]),
    "since": (["--since", "2026-01-02T03:05:00Z"], ["token cut down"]),
    "until": (["--until", "2026-01-02T03:05:00Z"], ["token issued", "login refused"]),
}


@pytest.mark.parametrize(("options", "kinds"), SEARCHES.values(), ids=SEARCHES)
def test_lines_are_found(options: list[str], kinds: list[str]) -> None:
    result = ask("search", "audit.log", *options)
    assert result.exit_code == 0
    assert [line.split("  ")[1] for line in result.stdout.splitlines() if not line.startswith(" ")] == kinds


def test_nothing_found_is_exit_code_1() -> None:
    assert ask("search", "--config", "config.yml", "--user", "carol").exit_code == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--kind", "party"], "allowed: token issued, token cut down"), (["--since", "noon"], '"noon" is not a time')],
    ids=["kind", "time"],
)
def test_an_option_that_cannot_be_read_says_what_is_allowed(options: list[str], message: str) -> None:
    result = ask("search", "audit.log", *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_search_without_a_hit_says_so() -> None:
    result = ask("search", "--user", "nobody", "audit.log")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "authproxy: no line of the log matches\n"


def test_what_was_verified_as_json() -> None:
    log = Path("audit.log")
    content = json.loads(ask("verify", "audit.log", "--json").stdout)
    assert (content["lines"], content["whole"], content["faults"]) == (3, True, [])
    (writer,) = content["writers"]
    assert (writer["first"], writer["last"], writer["from_the_start"]) == (1, 3, True)
    log.write_bytes(log.read_bytes().replace(b"alice", b"mallory", 1))
    result = ask("verify", "audit.log", "--json")
    content = json.loads(result.stdout)
    assert (result.exit_code, content["whole"]) == (1, False)
    assert [(fault["file"], fault["line"]) for fault in content["faults"]] == [("audit.log", 1)]
