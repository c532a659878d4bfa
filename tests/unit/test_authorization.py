"""The Authorization header."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.authorization import Basic, Bearer, Credentials, Malformed, parse_authorization


def basic(text: str, encoding: str = "utf-8") -> str:
    return "Basic " + base64.b64encode(text.encode(encoding)).decode()


ROWS: list[tuple[str, str | None, Credentials]] = [
    ("none", None, None),
    ("bearer", "Bearer abc.def", Bearer("abc.def")),
    ("scheme in lower case", "bearer abc", Bearer("abc")),
    ("bearer without a token", "Bearer ", Malformed()),
    ("basic", basic("alice:secret"), Basic("alice", "secret")),
    ("password with a colon", basic("alice:a:b"), Basic("alice", "a:b")),
    ("password past ASCII", basic("alice:gehëim"), Basic("alice", "gehëim")),
    ("password in Latin-1", basic("alice:gehëim", "latin-1"), Basic("alice", "gehëim")),
    ("both empty is anonymous", "Basic Og==", None),
    ("empty user with a password", basic(":x"), Basic("", "x")),
    ("user with an empty password", basic("alice:"), Basic("alice", "")),
    ("no colon", basic("alice"), Malformed()),
    ("not base64", "Basic ???", Malformed()),
    ("another scheme", "Negotiate abc", Malformed()),
    ("empty", "", Malformed()),
]


@pytest.mark.parametrize(("what", "value", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_header(what: str, value: str | None, expected: Credentials) -> None:
    assert parse_authorization(value) == expected


@given(st.text(max_size=60))
def test_any_text_is_some_credentials_and_never_an_exception(value: str) -> None:
    parse_authorization(value)


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(Basic("alice", "secret")) + repr(Bearer("secret"))
