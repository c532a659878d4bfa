"""The section `audit`: where lines go, and that real decisions of a real server become lines with their rules."""

import re
from pathlib import Path
from typing import Any

import pytest

from authproxy.audit.chain import parse_line
from authproxy.audit.event import Event, EventKind
from authproxy.audit.verify import verify
from authproxy.config.sections.audit import Audit as Section
from authproxy.errors import StartError
from authproxy.health.checks import Checks
from authproxy.identity.accounts import add_user
from authproxy.metrics.metrics import Metrics
from authproxy.wiring.audit import make_audit, make_sinks
from authproxy.wiring.lifespan import Parts
from tests.support.application import serving

POLICIES = """\
version: 1
rules:
  - name: own space
    allow: [pull, push]
    to: {groups: [team], users: [alice]}
    on: {repositories: ["{user}/**"]}
"""


def section(**keys: Any) -> Section:
    return Section.model_validate(keys)


def test_every_key_is_a_sink(tmp_path: Path) -> None:
    every = section(
        file={"path": str(tmp_path / "audit.log")},
        stdout="true",
        syslog={"address": "localhost:514"},
        webhook={"url": "https://logs.example", "headers": {"Authorization": ["hunter2"]}},
    )
    assert [sink.name for sink in make_sinks(every)] == ["file", "stdout", "syslog", "webhook"]


def test_a_folder_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"audit\.file\.path: the folder .* does not exist"):
        list(make_sinks(section(file={"path": str(tmp_path / "missing" / "audit.log")})))


async def test_every_sink_gets_every_event_and_its_counts_are_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = (tmp_path / "stdout").open("w")
    monkeypatch.setattr("sys.stdout", said)
    parts = Parts(Metrics(), Checks(()))
    record = make_audit(section(file={"path": str(tmp_path / "audit.log")}, stdout="true"), parts)
    record(Event(EventKind.ADMIN_CHANGE, reason="a change"))
    for close in parts.closers:
        await close()
    said.close()
    for name in ("stdout", "audit.log"):
        assert parse_line((tmp_path / name).read_bytes()).fields["reason"] == "a change"
    exposed = (await parts.metrics.expose()).decode()
    assert 'authproxy_audit_lines_total{result="written",sink="file"} 1' in exposed
    assert 'authproxy_audit_lines_total{result="lost",sink="stdout"} 0' in exposed


def with_alice(folder: Path) -> tuple[dict[str, Any], Path]:
    """A registry that alice may use, and the file of its log."""
    add_user(folder / "htpasswd", folder / "users.yaml", "alice", "wonderland", ["team"], cost=4)
    (folder / "rules.yaml").write_text(POLICIES, encoding="utf-8")
    log = folder / "audit.log"
    return {
        "version": "0.1",
        "storage": "inmemory",
        "token": {"keys": str(folder / "keys")},
        "identities": [
            {"htpasswd": {"path": str(folder / "htpasswd")}},
            {"users": {"path": str(folder / "users.yaml")}},
        ],
        "policies": {"path": str(folder / "rules.yaml")},
        "audit": {"file": {"path": str(log)}},
    }, log


async def test_what_a_server_decided_is_in_its_file(tmp_path: Path) -> None:
    values, log = with_alice(tmp_path)
    async with serving(values) as client:
        scope = {"scope": "repository:alice/app:pull repository:bob/app:pull"}
        assert (await client.get("/token", params=scope, auth=("alice", "wonderland"))).status_code == 200
        assert (await client.get("/token", auth=("alice", "wrong"))).status_code == 401
    lines = [parse_line(raw) for raw in log.read_bytes().splitlines()]
    assert verify([("log", log.read_bytes().splitlines())]).faults == ()
    cut_down, refused = (line.fields for line in lines)
    assert (cut_down["kind"], cut_down["user"], cut_down["groups"]) == ("token cut down", "alice", ["team"])
    assert cut_down["granted"] == ["repository:alice/app:pull"]
    assert [(one["allowed"], one.get("rule", one.get("reason"))) for one in cut_down["decisions"]] == [
        (True, f'{tmp_path}/rules.yaml:3 "own space"'),
        (False, "no rule allows it"),
    ]
    assert (refused["kind"], refused["user"]) == ("login refused", "alice")
    assert "client" in cut_down


async def test_a_refused_refresh_token_and_a_disabled_user_are_in_the_file_by_name_and_reason(tmp_path: Path) -> None:
    values, log = with_alice(tmp_path)
    users = tmp_path / "users.yaml"
    async with serving(values) as client:
        offline = {"offline_token": "true"}
        refresh = (await client.get("/token", params=offline, auth=("alice", "wonderland"))).json()["refresh_token"]
    users.write_text("users: {alice: {disabled: true}}\n", encoding="utf-8")
    async with serving(values) as client:
        form = {"grant_type": "refresh_token", "refresh_token": refresh}
        answers = [
            await client.post("/token", data=form),
            await client.get("/token", auth=("alice", "wonderland")),
            await client.get("/v2/", auth=("alice", "wonderland")),
            await client.get("/v2/", auth=("alice", "wrong")),
        ]
    assert [answer.status_code for answer in answers] == [401] * 4
    assert answers[2].content == answers[3].content
    assert answers[2].headers["www-authenticate"] == answers[3].headers["www-authenticate"]
    assert answers[0].json()["errors"][0]["message"] == (
        "this login has ended; log in again: docker login registry:5000"
    )
    assert [answer.text for answer in answers if "disabled" in answer.text] == []
    refused = [parse_line(raw).fields for raw in log.read_bytes().splitlines()][1:]
    assert [(line["kind"], line.get("user"), line["reason"]) for line in refused] == [
        ("login refused", "alice", "the user was removed, is disabled or has expired"),
        ("login refused", "alice", "the user is disabled"),
        ("login refused", "alice", "incorrect username or password: the user is disabled"),
        ("login refused", "alice", "incorrect username or password"),
    ]


async def test_a_token_server_at_another_host_names_no_registry(tmp_path: Path) -> None:
    values, _ = with_alice(tmp_path)
    values["token"]["realm"] = "https://auth.example/token"
    async with serving(values) as client:
        answer = await client.post("/token", data={"grant_type": "refresh_token", "refresh_token": "nonsense"})
    assert answer.json()["errors"][0]["message"] == "this login has ended; log in again"


async def test_the_access_log_names_the_user_of_a_token_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, _ = with_alice(tmp_path)
    output = (tmp_path / "stderr").open("w")
    monkeypatch.setattr("sys.stderr", output)
    async with serving(values) as client:
        for auth in (("alice", "wonderland"), None, ("alice", "wrong")):
            await client.get("/token", auth=auth)
    output.close()
    lines = [line for line in (tmp_path / "stderr").read_text().splitlines() if "path=/token" in line]
    assert [re.findall(r"user=(\S*)|status=(\d+)", line) for line in lines] == [
        [("alice", ""), ("", "200")],
        [("", ""), ("", "200")],
        [("", ""), ("", "401")],
    ]


async def test_what_is_refused_below_v2_is_in_the_file_and_what_has_no_credentials_is_not(tmp_path: Path) -> None:
    values, log = with_alice(tmp_path)
    alice = ("alice", "wonderland")
    async with serving(values) as client:
        scope = {"scope": "repository:alice/app:pull"}
        token = (await client.get("/token", params=scope, auth=alice)).json()["token"]
        bearer = {"Authorization": f"Bearer {token}", "X-Request-ID": "r-1"}
        statuses = [
            (await client.get("/v2/bob/app/tags/list?n=1", headers=bearer)).status_code,
            (await client.get("/v2/bob/app/tags/list", auth=alice)).status_code,
            (await client.get("/v2/", auth=("alice", "wrong"))).status_code,
            (await client.get("/v2/", headers={"Authorization": f"Bearer {token}x"})).status_code,
            (await client.get("/v2/bob/app/tags/list")).status_code,
            (await client.get("/v2/", headers=bearer)).status_code,
            (await client.get("/v2/alice/app/tags/list", headers=bearer)).status_code,
        ]
    assert statuses == [401, 403, 401, 401, 401, 200, 404]
    text = log.read_text(encoding="utf-8")
    assert [secret for secret in ("wonderland", "wrong", token, token.rpartition(".")[2]) if secret in text] == []
    issued, *refused = [parse_line(raw.encode()).fields for raw in text.splitlines()]
    assert issued["kind"] == "token issued"
    asked = ["repository:bob/app:pull"]
    path = "/v2/bob/app/tags/list"
    assert [(line["kind"], line.get("user"), line.get("asked"), line["path"]) for line in refused] == [
        ("request denied", "alice", asked, path),
        ("request denied", "alice", asked, path),
        ("login refused", "alice", None, "/v2/"),
        ("request denied", None, None, "/v2/"),
    ]
    decided = {"access": "repository:bob/app:pull", "allowed": False, "reason": "not granted"}
    assert [(line.get("groups"), line.get("decisions")) for line in refused[:2]] == [
        (None, None),
        (["team"], [decided]),
    ]
    assert refused[1]["source"] == "htpasswd"
    assert (refused[0]["request_id"], refused[0]["jti"]) == ("r-1", issued["jti"])
    assert refused[0]["reason"] == "alice may not pull bob/app"
    assert refused[3]["reason"].startswith("the token is invalid or expired: ")


async def test_a_request_that_a_rule_about_tags_refuses_has_the_rule_and_the_tag(tmp_path: Path) -> None:
    values, log = with_alice(tmp_path)
    rule = "  - {name: inside, deny: [pull], to: {users: [alice]}, on: {repositories: ['**'], tags: [internal]}}\n"
    (tmp_path / "rules.yaml").write_text(POLICIES + rule, encoding="utf-8")
    async with serving(values) as client:
        answer = await client.get("/v2/alice/app/manifests/internal", auth=("alice", "wonderland"))
    assert (answer.status_code, "rules.yaml" in answer.text) == (403, False)
    fields = parse_line(log.read_bytes()).fields
    assert fields["decisions"] == [
        {
            "access": "repository:alice/app:pull",
            "allowed": False,
            "tag": "internal",
            "rule": f'{tmp_path}/rules.yaml:7 "inside"',
        }
    ]
    assert (fields["groups"], fields["reason"]) == (
        ["team"],
        f'alice may not pull alice/app:internal: denied by {tmp_path}/rules.yaml:7 "inside"',
    )


async def test_a_registry_with_passwords_alone_tells_what_it_refuses(tmp_path: Path) -> None:
    add_user(tmp_path / "htpasswd", None, "alice", "wonderland", [], cost=4)
    values = {
        "version": "0.1",
        "storage": "inmemory",
        "auth": {"htpasswd": {"realm": "r", "path": str(tmp_path / "htpasswd")}},
        "audit": {"file": {"path": str(tmp_path / "audit.log")}},
    }
    async with serving(values) as client:
        assert (await client.get("/v2/", auth=("alice", "wrong"))).status_code == 401
        assert (await client.get("/v2/", auth=("alice", "wonderland"))).status_code == 200
    assert parse_line((tmp_path / "audit.log").read_bytes()).fields["kind"] == "login refused"


async def test_answer_access_log_and_audit_log_name_a_request_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values, log = with_alice(tmp_path)
    async with serving(values) as client:
        answers = [
            await client.get("/token", auth=("alice", "wonderland")),
            await client.get("/v2/bob/app/tags/list", auth=("alice", "wonderland")),
            await client.get("/token", auth=("alice", "wrong"), headers={"X-Request-ID": "r-1"}),
        ]
    names = [answer.headers["x-request-id"] for answer in answers]
    assert (len(set(names)), names[-1]) == (3, "r-1")
    assert [parse_line(raw).fields["request_id"] for raw in log.read_bytes().splitlines()] == names
    requests = [line for line in capsys.readouterr().err.splitlines() if "event=request" in line]
    assert [line.rpartition(" request_id=")[2] for line in requests] == names
