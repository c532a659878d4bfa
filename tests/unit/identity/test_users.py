import datetime as dt
from pathlib import Path

import pytest

from authproxy.config.document.tree import parse_document
from authproxy.errors import StartError
from authproxy.identity.user_entry import UserEntry
from authproxy.identity.users import parse_users, read_users

HASH = "$2y$04$jarkjdyN4syBOFAUG5Wke.Vp4AvfLekncelXMKIMRHArULM5lpa/6"  # secret


@pytest.mark.parametrize(
    ("text", "users"),
    [
        ("", {}),
        ("users:\n", {}),
        ("users: {}\n", {}),
        ("users: {alice: }\n", {"alice": UserEntry("alice")}),
        (
            "users: {alice: {groups: [team, ops], disabled: yes}}\n",
            {"alice": UserEntry("alice", None, frozenset({"team", "ops"}), disabled=True)},
        ),
        (
            "users: {alice: {expires: 2026-12-31}}\n",
            {"alice": UserEntry("alice", expires=dt.datetime(2027, 1, 1, tzinfo=dt.UTC))},
        ),
        ("users: {ci: {robot: true}}\n", {"ci": UserEntry("ci", is_robot=True)}),
        (f"users:\n  ci:\n    password: {HASH}\n", {"ci": UserEntry("ci", HASH)}),
        ("users: {5000: {groups: [no]}}\n", {"5000": UserEntry("5000", None, frozenset({"no"}))}),
    ],
)
def test_users_as_written(text: str, users: dict[str, UserEntry]) -> None:
    assert parse_users(parse_document(text, "users.yaml")) == users


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user: {}\n", r'users.yaml:1: user: unknown key \(did you mean "users"\?\)'),
        ("users:\n  alice:\n    group: [a]\n", r"users.yaml:3: users.alice.group: unknown key"),
        ("users:\n  alice:\n    disabled: perhaps\n", r"users.yaml:3: users.alice.disabled"),
        ("users:\n  alice: {expires: 31.12.2026}\n", r"users.yaml:2: users.alice.expires: .*write 2026-12-31"),
        ("users:\n  alice: {expires: []}\n", r"users.yaml:2: users.alice.expires: expected one value, not a list"),
        ("users:\n  alice: {expires: {}}\n", r"users.yaml:2: users.alice.expires: expected one value, not keys"),
        ("users:\n  alice: {groups: team}\n", r"users.yaml:2: users.alice.groups: expected a list"),
        ("users:\n  alice: {groups: ['']}\n", r"a group is one line"),
        ("users:\n  alice: {password: secret}\n", r"users.yaml:2: users.alice.password: not a bcrypt hash"),
        ("users:\n  'a:b': {}\n", r"must not contain a colon"),
        ("users:\n  a: {}\n  a: {}\n", r"duplicate key"),
        ("- a\n", r"users.yaml:1"),
    ],
)
def test_a_fault_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(StartError, match=message):
        parse_users(parse_document(text, "users.yaml"))


def test_a_hash_is_not_shown_in_errors_or_reprs() -> None:
    with pytest.raises(StartError) as raised:
        parse_users(parse_document("users: {a: {password: hunter2, x: 1}}", "users.yaml"))
    assert "hunter2" not in str(raised.value)
    assert HASH not in repr(UserEntry("a", HASH))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"users\.yaml: cannot be read"):
        read_users(tmp_path / "users.yaml")
