"""`authproxy policy replay` on logs as a server writes them, and on one that a server wrote."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from authproxy.access import parse_scopes
from authproxy.audit.event import Event, EventKind, Verdict
from authproxy.audit.file import FileSink
from authproxy.audit.log import AuditLog
from authproxy.cli import app
from authproxy.identity.accounts import add_user
from authproxy.principal import Principal
from tests.support.application import serving
from tests.support.plain_log import log_plainly

NOW = 1_767_323_045.678901
TIME = "2026-01-02T03:04:05.678901Z"
PULL, PUSH = parse_scopes(["repository:team/app:pull,push"])
ALICE = Principal("alice", groups=frozenset({"devs"}), source="htpasswd")

OLD = """\
version: 1
rules:
  - name: team
    allow: [pull, push]
    to: {groups: [devs]}
    on: {repositories: ["team/**"]}
"""
NEW = f"""\
{OLD}
  - name: freeze
    description: Nothing is released before Monday.
    deny: [push]
    to: {{everyone: true}}
    on: {{repositories: ["team/**"]}}
"""
INSIDE = """\
  - name: inside
    deny: [pull]
    to: {groups: [devs]}
    on: {repositories: ["**"], tags: [internal]}
    when: request.tls && request.address.inNetwork("127.0.0.0/8")
"""
THEN = 'policies/rules.yaml:3 "team"'


def write(events: list[Event], *, log: str = "data/audit.log", at: float = NOW, max_bytes: int = 1_000_000) -> None:
    audit = AuditLog(FileSink(Path(log), max_bytes=max_bytes, keep=9), now=lambda: at)
    for event in events:
        audit.record(event)
    audit.close()


def allowed(*accesses: str, who: Principal = ALICE) -> Event:
    asked = parse_scopes(accesses)
    verdicts = tuple(Verdict(access, allowed=True, rule=THEN) for access in asked)
    return Event(EventKind.TOKEN_ISSUED, who, client="10.0.0.7", asked=asked, granted=asked, verdicts=verdicts)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name, rules in (("policies", OLD), ("new", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rules.yaml").write_text(rules, encoding="utf-8")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/htpasswd").touch()
    return tmp_path


def replay(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["policy", "replay", *arguments])


def test_what_would_change_is_told_by_who_and_what() -> None:
    write([allowed("repository:team/app:pull,push")])
    write([allowed("repository:team/app:push")], at=NOW + 60)
    result = replay("new")
    assert (result.exit_code, result.stdout.splitlines()) == (
        1,
        [
            f"alice (htpasswd)  repository:team/app:push  2 times, {TIME} to 2026-01-02T03:05:05.678901Z",
            '    then allowed by policies/rules.yaml:3 "team"',
            '    now  denied by new/rules.yaml:8 "freeze": Nothing is released before Monday.',
            "2 lines, 3 decisions: 2 would change, 0 unknown",
        ],
    )


def test_the_same_rules_change_nothing() -> None:
    write([allowed("repository:team/app:pull,push")])
    result = replay()
    assert (result.exit_code, result.stdout) == (0, "1 line, 2 decisions: 0 would change, 0 unknown\n")


def test_each_change_by_itself_in_the_order_of_time() -> None:
    write([allowed("repository:team/app:push")], log="data/audit-2.log", at=NOW + 60)
    write([allowed("repository:team/b:push")])
    result = replay("new", "--each")
    assert result.stdout.splitlines()[::3] == [
        f"{TIME}  alice (htpasswd) from 10.0.0.7  repository:team/b:push",
        "2026-01-02T03:05:05.678901Z  alice (htpasswd) from 10.0.0.7  repository:team/app:push",
        "2 lines, 2 decisions: 2 would change, 0 unknown",
    ]
    rows = [json.loads(line) for line in replay("new", "--each", "--json").stdout.splitlines()]
    assert [(row["time"], row["user"], row["client"], row["access"]) for row in rows] == [
        (TIME, "alice", "10.0.0.7", "repository:team/b:push"),
        ("2026-01-02T03:05:05.678901Z", "alice", "10.0.0.7", "repository:team/app:push"),
    ]


def test_json_has_all_of_it() -> None:
    write([allowed("repository:team/app:push"), Event(EventKind.LOGIN_REFUSED, Principal("bob"), reason="wrong")])
    result = replay("new", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (
        1,
        {
            "lines": 2,
            "decisions": 1,
            "changed": 1,
            "changes": [
                {
                    "user": "alice",
                    "source": "htpasswd",
                    "access": "repository:team/app:push",
                    "then": {"allowed": True, "why": f"allowed by {THEN}"},
                    "now": {
                        "allowed": False,
                        "why": 'denied by new/rules.yaml:8 "freeze": Nothing is released before Monday.',
                    },
                    "count": 1,
                    "first": TIME,
                    "last": TIME,
                }
            ],
            "untold": [],
            "aside": {"login refused": 1},
            "beyond": 0,
        },
    )


def test_rotated_files_and_those_of_other_writers_belong_to_a_log() -> None:
    for at in range(4):
        write([allowed("repository:team/app:push")], at=NOW + at, max_bytes=600)
    write([allowed("repository:team/app:push")], log="data/audit-2.log")
    assert len(list(Path("data").glob("audit*"))) == 5
    assert replay("new", "--audit", "data/audit.log").stdout.startswith(
        "alice (htpasswd)  repository:team/app:push  5 "
    )


def test_a_folder_is_all_files_in_it() -> None:
    Path("logs").mkdir()
    for node in ("one", "two"):
        write([allowed("repository:team/app:push")], log=f"logs/{node}.log")
    Path("logs/notes.txt").write_text("what this is\n", encoding="utf-8")
    assert "2 lines, 2 decisions: 2 would change" in replay("new", "--audit", "logs").stdout


def test_a_span_of_time() -> None:
    for at in (0, 60, 120):
        write([allowed("repository:team/app:push")], at=NOW + at)
    result = replay("new", "--since", "2026-01-02T03:05:00Z", "--until", "2026-01-02T03:06:00Z")
    assert result.stdout.splitlines()[-1] == "1 line, 1 decision: 1 would change, 0 unknown"


def test_a_broken_chain_is_said_and_the_log_is_read_all_the_same() -> None:
    write([allowed("repository:team/app:push") for _ in range(14)])
    log = Path("data/audit.log")
    log.write_bytes(log.read_bytes().replace(b'"alice"', b'"eve"'))
    result = replay("new")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (
        1,
        "14 lines, 14 decisions: 14 would change, 0 unknown",
    )
    warnings = result.stderr.splitlines()[1:]
    assert warnings[0].startswith("authproxy: warning: data/audit.log:1: this line was changed")
    assert warnings[10] == "authproxy: warning: 4 more faults; `authproxy audit verify` names them"


def test_a_line_of_another_version_cannot_be_told() -> None:
    write([allowed("repository:team/app:pull")])
    log = Path("data/audit.log")
    log.write_bytes(log.read_bytes().replace(b'"token issued"', b'"token lent"'))
    result = replay()
    assert (result.exit_code, result.stdout.splitlines()) == (
        1,
        [
            "unknown: a line cannot be read: 'token lent' is not a valid EventKind (1)",
            "1 line, 0 decisions: 0 would change, 1 unknown",
        ],
    )


def test_how_a_request_came_is_told_by_its_line_and_where_it_is_not_that_is_said() -> None:
    came = allowed("repository:team/app:push")
    write([replace(came, scheme="https"), replace(came, scheme="http"), came])
    Path("new/rules.yaml").write_text(f"{OLD}    when: request.tls\n", encoding="utf-8")
    why = 'the condition of new/rules.yaml:3 "team" reads facts of the request, which the line does not contain'
    result = replay("new")
    assert (result.exit_code, result.stdout.splitlines()) == (
        1,
        [
            f"alice (htpasswd)  repository:team/app:push  once, {TIME}",
            f"    then allowed by {THEN}",
            "    now  denied: no rule allows it",
            f"unknown: {why} (1)",
            "3 lines, 3 decisions: 1 would change, 1 unknown",
        ],
    )


def denied(jti: str) -> Event:
    verdicts = (Verdict(PUSH._replace(action="overwrite"), allowed=False, rule=THEN, tag="v1"),)
    return Event(EventKind.REQUEST_DENIED, Principal("alice"), token_id=jti, verdicts=verdicts)


def test_a_denied_request_is_asked_with_the_groups_of_its_token() -> None:
    write([replace(allowed("repository:team/app:push"), token_id="t-1"), denied("t-1")])
    result = replay()
    assert (result.exit_code, result.stdout.splitlines()) == (
        1,
        [
            f"alice (htpasswd)  repository:team/app:overwrite of v1  once, {TIME}",
            f"    then denied by {THEN}",
            f"    now  allowed by {THEN}",
            "2 lines, 2 decisions: 1 would change, 0 unknown",
        ],
    )


def test_a_denied_request_whose_token_has_no_line_cannot_be_told() -> None:
    write([replace(allowed("repository:team/app:push"), token_id="t-1"), denied("t-2")])
    result = replay()
    assert (result.exit_code, result.stdout.splitlines()[0]) == (
        1,
        "unknown: a request was denied whose token has no line here, so the caller's groups are not known (1)",
    )


def test_lines_that_were_lost_are_said() -> None:
    write(
        [Event(EventKind.LINES_LOST, reason="3 lines before this one were lost"), allowed("repository:team/app:pull")]
    )
    assert replay().stdout.startswith("note: lines were lost once while this log was written")


def test_rules_about_tags_say_more_than_a_log_of_tokens_holds() -> None:
    write([allowed("repository:team/app:pull,push"), allowed("repository:other/app:push")])
    Path("new/rules.yaml").write_text(
        OLD.replace("team/**", "**") + "  - name: releases stay\n    deny: [overwrite]\n    to: {everyone: true}\n"
        '    on: {repositories: ["team/**"], tags: ["v*"]}\n',
        encoding="utf-8",
    )
    result = replay("new")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (
        0,
        "note: 1 decision left more to rules about tags, create and overwrite, not seen here",
    )


def test_a_name_speaks_to_nobodys_terminal() -> None:
    write([allowed("repository:team/app:push", who=Principal("a\x1b[2J", groups=frozenset({"devs"})))])
    assert "\x1b" not in replay("new").stdout + replay("new", "--each").stdout


REFUSED = [
    ("no such log", ("new", "--audit", "gone.log"), "authproxy: gone.log: cannot be read: No such file"),
    ("no such policies", ("gone",), "authproxy: gone: cannot be read"),
    ("an empty log", ("new", "--audit", "empty.log"), "these files hold no audit lines"),
    ("an empty folder", ("new", "--audit", "empty"), "these files hold no audit lines"),
    ("no time", ("new", "--since", "yesterday"), '"yesterday" is not a time'),
    ("no such configuration", ("new", "--config", "gone.yml"), "authproxy: gone.yml: cannot be read"),
]


@pytest.mark.parametrize(("arguments", "says"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_cannot_be_read_is_told_in_a_line(arguments: tuple[str, ...], says: str) -> None:
    Path("empty.log").touch()
    Path("empty").mkdir()
    write([allowed("repository:team/app:push")])
    result = replay(*arguments)
    assert result.exit_code == 2
    assert says in result.stderr


async def test_what_a_server_decided_is_the_same_by_its_own_rules_and_another_by_others(folder: Path) -> None:
    add_user(folder / "htpasswd", folder / "users.yaml", "alice", "wonderland", ["devs"], cost=4)
    values = {
        "version": "0.1",
        "storage": "inmemory",
        "token": {"keys": "keys"},
        "identities": [{"htpasswd": {"path": "htpasswd"}}, {"users": {"path": "users.yaml"}}],
        "policies": {"path": "policies"},
        "audit": {"file": {"path": "data/audit.log"}},
    }
    (folder / "policies/rules.yaml").write_text(f"{OLD}{INSIDE}", encoding="utf-8")
    async with serving(values) as client:
        for scope in ("repository:team/app:pull,push", "repository:other:*", "registry:catalog:*", "a:b:c"):
            for auth in (("alice", "wonderland"), None):
                assert (await client.get("/token", params={"scope": scope}, auth=auth)).status_code == 200
        assert (await client.get("/token", auth=("alice", "wrong"))).status_code == 401
        token = (await client.get("/token", params={"scope": str(PULL)}, auth=("alice", "wonderland"))).json()["token"]
        bearer = {"Authorization": f"Bearer {token}"}
        there, outside = "/v2/team/app/manifests/internal", "/v2/other/tags/list"
        statuses = [
            (await client.get(there, headers=bearer)).status_code,
            (await client.get(there, auth=("alice", "wonderland"))).status_code,
            (await client.get(outside, headers=bearer)).status_code,
            (await client.get(outside, auth=("alice", "wonderland"))).status_code,
        ]
        assert statuses == [403, 403, 401, 403]
    log_plainly()
    same = replay()
    assert (same.exit_code, same.stderr) == (0, f"configuration: embedded default in {folder}\n")
    assert same.stdout.splitlines()[-1] == "14 lines, 18 decisions: 0 would change, 0 unknown"
    other = replay("new")
    assert other.exit_code == 1
    changes = [line for line in other.stdout.splitlines() if line.startswith("alice")]
    assert [line.partition(", ")[0] for line in changes] == [
        "alice (htpasswd)  repository:team/app:pull of internal  2 times",
        "alice (htpasswd)  repository:team/app:push  once",
    ]
