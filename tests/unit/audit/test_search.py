"""Looking for lines, and reading them."""

from typing import Any

import pytest

from authproxy.audit.event import EventKind
from authproxy.audit.search import LineFilter, parse_moment, render

NOW = 1_767_323_045.0  # 2026-01-02T03:04:05Z

CUT_DOWN: dict[str, Any] = {
    "time": "2026-01-02T03:04:05.678901Z",
    "kind": "token cut down",
    "user": "alice",
    "source": "ldap",
    "client": "10.0.0.7",
    "asked": ["repository:team/app:pull,push", "registry:catalog:*"],
    "granted": ["repository:team/app:pull"],
    "request_id": "r-1",
    "jti": "t-1",
    "decisions": [
        {"access": "repository:team/app:pull", "allowed": True, "rule": 'a.yaml:1 "team"'},
        {"access": "repository:team/app:push", "allowed": False, "rule": 'a.yaml:9 "frozen"'},
        {"access": "registry:catalog:*", "allowed": False, "reason": "no rule allows it"},
    ],
}

FOUND = {
    "nothing in particular": LineFilter(),
    "the user": LineFilter(user="alice"),
    "the repository": LineFilter(repository="team/app"),
    "a pattern": LineFilter(repository="team/*"),
    "the client": LineFilter(client="10.0.0.7"),
    "the kind": LineFilter(kind=EventKind.TOKEN_CUT_DOWN),
    "denials": LineFilter(is_denial=True),
    "the request": LineFilter(request_id="r-1"),
    "the token": LineFilter(jti="t-1"),
    "since that very moment": LineFilter(since="2026-01-02T03:04:05.678901Z"),
    "until later": LineFilter(until="2026-01-02T03:04:05.678902Z"),
}
NOT_FOUND = {
    "another user": LineFilter(user="bob"),
    "nobody": LineFilter(user=""),
    "a part of a name": LineFilter(repository="team"),
    "another client": LineFilter(client="10.0.0.8"),
    "another kind": LineFilter(kind=EventKind.TOKEN_ISSUED),
    "another request": LineFilter(request_id="r-2"),
    "another token": LineFilter(jti="t-2"),
    "since later": LineFilter(since="2026-01-02T03:04:05.678902Z"),
    "until that very moment": LineFilter(until="2026-01-02T03:04:05.678901Z"),
    "one of two": LineFilter(user="alice", repository="other"),
}


@pytest.mark.parametrize("wanted", FOUND.values(), ids=FOUND)
def test_a_line_that_matches_is_found(wanted: LineFilter) -> None:
    assert wanted.includes(CUT_DOWN)


@pytest.mark.parametrize("wanted", NOT_FOUND.values(), ids=NOT_FOUND)
def test_a_line_that_does_not_match_is_not_found(wanted: LineFilter) -> None:
    assert not wanted.includes(CUT_DOWN)


def test_a_line_without_a_user_is_that_of_an_anonymous_caller() -> None:
    assert LineFilter(user="").includes({"kind": "token issued"})
    assert not LineFilter(is_denial=True).includes({"kind": "token issued"})


MOMENTS = {
    "24h": "2026-01-01T03:04:05.000000Z",
    "90m": "2026-01-02T01:34:05.000000Z",
    "2026-01-02": "2026-01-02T00:00:00.000000Z",
    "2026-01-02T03:04:05Z": "2026-01-02T03:04:05.000000Z",
    "2026-01-02T03:04:05": "2026-01-02T03:04:05.000000Z",
    "2026-01-02T03:04:05+01:00": "2026-01-02T02:04:05.000000Z",
}


@pytest.mark.parametrize(("text", "moment"), MOMENTS.items())
def test_a_time_is_read(text: str, moment: str) -> None:
    assert parse_moment(text, NOW) == moment


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match='"yesterday" is not a time; allowed: '):
        parse_moment("yesterday", NOW)


def test_a_line_for_people_says_what_was_denied_and_why() -> None:
    assert render(CUT_DOWN).splitlines() == [
        "2026-01-02T03:04:05.678901Z  token cut down  alice (ldap) from 10.0.0.7",
        "    asked repository:team/app:pull,push registry:catalog:*",
        "    granted repository:team/app:pull",
        '    denied repository:team/app:push: by a.yaml:9 "frozen"',
        "    denied registry:catalog:*: no rule allows it",
    ]


def test_a_refused_login_for_people() -> None:
    fields = {"time": "t", "kind": "login refused", "user": "al\x1b[2Jice", "reason": "a reason"}
    assert render(fields) == "t  login refused  al\\x1b[2Jice\n    a reason"


def test_a_denied_request_for_people() -> None:
    fields: dict[str, Any] = {"time": "t", "kind": "request denied", "method": "GET", "path": "/v2/a/tags/list"}
    assert render(fields) == "t  request denied  anonymous\n    GET /v2/a/tags/list"
    fields["decisions"] = [{"access": "repository:a:pull", "allowed": False, "tag": "v1", "rule": 'a.yaml:1 "a"'}]
    assert render(fields).splitlines()[-1] == '    denied repository:a:pull of v1: by a.yaml:1 "a"'


@pytest.mark.parametrize("broken", [7, "text", ["x", 7], {"a": 1}], ids=str)
def test_a_line_that_somebody_spoilt_is_still_shown(broken: Any) -> None:
    fields = {"time": broken, "kind": "token issued", "asked": broken, "granted": broken, "decisions": broken}
    assert "token issued" in render(fields)
    assert not LineFilter(repository="team/app").includes(fields)
