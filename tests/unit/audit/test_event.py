"""An event as an audit line has it: everything that decided, and nothing secret."""

import dataclasses
import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from authproxy.access import Access, parse_scopes
from authproxy.audit.event import Event, EventKind, Verdict, from_fields, record_nothing, to_fields
from authproxy.log.excerpt import MAX_TEXT
from authproxy.principal import Principal

ALICE = Principal(
    "alice",
    groups=frozenset({"team", "admins"}),
    claims=MappingProxyType({"project_path": "team/app", "roles": ["dev"], "level": 3}),
    source="ldap",
    stamp="a-stamp-that-is-secret",
    is_robot=True,
)
PULL, PUSH = parse_scopes(["repository:team/app:pull,push"])
CUT_DOWN = Event(
    EventKind.TOKEN_CUT_DOWN,
    ALICE,
    client="10.0.0.7",
    scheme="https",
    request_id="r-1",
    asked=(PULL, PUSH),
    granted=(PULL,),
    token_id="t-1",
    lifetime_s=300,
    verdicts=(
        Verdict(PULL, allowed=True, rule='policies/a.yaml:1 "team"', reason="allowed"),
        Verdict(PUSH, allowed=False, reason="no rule allows it", tag="v1"),
    ),
)


def test_every_input_of_the_decision_is_a_field() -> None:
    assert to_fields(CUT_DOWN) == {
        "kind": "token cut down",
        "user": "alice",
        "source": "ldap",
        "groups": ["admins", "team"],
        "claims": {"project_path": "team/app", "roles": ["dev"], "level": 3},
        "robot": True,
        "client": "10.0.0.7",
        "scheme": "https",
        "request_id": "r-1",
        "asked": ["repository:team/app:pull,push"],
        "granted": ["repository:team/app:pull"],
        "jti": "t-1",
        "lifetime_s": 300,
        "decisions": [
            {
                "access": "repository:team/app:pull",
                "allowed": True,
                "rule": 'policies/a.yaml:1 "team"',
                "reason": "allowed",
            },
            {"access": "repository:team/app:push", "allowed": False, "tag": "v1", "reason": "no rule allows it"},
        ],
    }


def test_a_stamp_is_never_a_field() -> None:
    assert ALICE.stamp not in json.dumps(to_fields(CUT_DOWN))


def test_empty_fields_are_left_out() -> None:
    assert to_fields(Event(EventKind.TOKEN_ISSUED)) == {"kind": "token issued"}


def test_a_text_of_a_client_is_cut() -> None:
    fields = to_fields(Event(EventKind.LOGIN_REFUSED, Principal("x" * 5000), path="/" * 5000))
    assert [len(fields["user"]), len(fields["path"])] == [MAX_TEXT + 1, MAX_TEXT + 1]


def test_an_access_that_was_cut_is_still_one() -> None:
    access = Access("repository", "x" * 5000, "pull")
    again = from_fields(to_fields(Event(EventKind.TOKEN_CUT_DOWN, verdicts=(Verdict(access, allowed=False),))))
    assert [verdict.access for verdict in again.verdicts] == [access._replace(name="x" * MAX_TEXT + "…")]


def test_claims_that_json_cannot_say_become_text() -> None:
    claims: dict[Any, Any] = {1: float("inf"), "set": {"b", "a"}, "pair": (1, None), "odd": b"x"}
    fields = to_fields(Event(EventKind.TOKEN_ISSUED, Principal("a", claims=claims)))
    assert fields["claims"] == {"1": "inf", "set": ["a", "b"], "pair": [1, None], "odd": "b'x'"}


def test_what_was_written_is_read_back() -> None:
    again = from_fields(json.loads(json.dumps(to_fields(CUT_DOWN))))
    assert to_fields(again) == to_fields(CUT_DOWN)
    assert (again.principal.groups, again.asked, again.granted) == (ALICE.groups, CUT_DOWN.asked, CUT_DOWN.granted)
    assert again.verdicts == CUT_DOWN.verdicts
    assert (again.token_id, again.lifetime_s, again.scheme) == ("t-1", 300, "https")


NOT_A_LINE: dict[str, dict[str, object]] = {
    "no kind": {},
    "a kind of another program": {"kind": "party"},
    "a number for a user": {"kind": "token issued", "user": 1},
    "a text for the groups": {"kind": "token issued", "groups": "admins"},
    "a text for the lifetime": {"kind": "token issued", "lifetime_s": "5m"},
    "a list for the claims": {"kind": "token issued", "claims": []},
    "a decision without an access": {"kind": "token issued", "decisions": [{"allowed": True}]},
    "a decision about two accesses": {"kind": "token issued", "decisions": [{"access": "repository:a:pull,push"}]},
    "decisions that are text": {"kind": "token issued", "decisions": ["x"]},
}


@pytest.mark.parametrize("fields", NOT_A_LINE.values(), ids=NOT_A_LINE)
def test_other_fields_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        from_fields(fields)


def test_only_the_word_true_allows() -> None:
    fields = {"kind": "token issued", "decisions": [{"access": "repository:a:pull", "allowed": "yes"}]}
    assert [verdict.allowed for verdict in from_fields(fields).verdicts] == [False]


def test_a_record_of_nothing_takes_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with capture_logs() as logged:
        for kind in EventKind:
            record_nothing(dataclasses.replace(CUT_DOWN, kind=kind))
    assert (logged, capfd.readouterr(), list(tmp_path.iterdir())) == ([], ("", ""), [])


names = st.text("abc/-", min_size=1, max_size=12)


@given(st.lists(st.builds(Access, st.just("repository"), names, st.sampled_from(["pull", "push", "*"])), max_size=4))
def test_all_that_was_asked_is_read_back(accesses: list[Access]) -> None:
    event = Event(
        EventKind.TOKEN_ISSUED, asked=tuple(accesses), verdicts=tuple(Verdict(a, allowed=True) for a in accesses)
    )
    again = from_fields(json.loads(json.dumps(to_fields(event))))
    assert set(again.asked) == set(accesses)
    assert [verdict.access for verdict in again.verdicts] == accesses
