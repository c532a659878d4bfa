import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.config.document.tree import parse_document
from authproxy.errors import StartError
from authproxy.identity.user_entry import UserEntry
from authproxy.identity.users import parse_users
from authproxy.identity.users_edit import with_user, without_user

ALICE = UserEntry("alice", None, frozenset({"ops", "team"}))
WRITTEN = """\
# who is who
users:
  # the builders
  bob: {groups: [a]}   # since March
  carol:
    groups:
      - a
      - b   # both

  # the last
  dave:

# the end
"""
LINE = "  alice: {groups: [ops, team]}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "users:\n" + LINE),
        ("# empty\n", "# empty\nusers:\n" + LINE),
        ("users:\n", "users:\n" + LINE),
        ("users: {}\n", "users:\n" + LINE),
        ("users:\n    bob:   # why\n", "users:\n    bob:   # why\n  " + LINE),
        ("users:\n  bob: {}", "users:\n  bob: {}\n" + LINE.rstrip()),
        ("users: {bob: {groups: [a]}}\n", "users:\n  bob: {groups: [a]}\n" + LINE),
        (WRITTEN, WRITTEN.replace("  dave:\n", "  dave:\n" + LINE)),
        ("users:\n  alice: {disabled: true} # x\n", "users:\n" + LINE.rstrip() + " # x\n"),
        ("users:\n" + LINE + "# x\n", "users:\n" + LINE + "# x\n"),
    ],
)
def test_a_user_is_put_in_and_the_rest_stays(before: str, after: str) -> None:
    assert with_user(before, ALICE, "users.yaml") == after


@pytest.mark.parametrize(
    ("before", "name", "after"),
    [
        (WRITTEN, "alice", WRITTEN),
        (WRITTEN, "bob", WRITTEN.replace("  bob: {groups: [a]}   # since March\n", "")),
        (WRITTEN, "carol", WRITTEN.replace("  carol:\n    groups:\n      - a\n      - b   # both\n", "")),
        (WRITTEN, "dave", WRITTEN.replace("  dave:\n", "")),
        ("users:\n  bob:\n", "bob", "users: {}\n"),
        ("users: {bob: , eve: }\n", "bob", "users:\n  eve: {groups: []}\n"),
        ("", "bob", ""),
    ],
)
def test_a_user_is_taken_out_and_the_rest_stays(before: str, name: str, after: str) -> None:
    assert without_user(before, name, "users.yaml") == after


@pytest.mark.parametrize("text", ["base: &b\n  bob: {}\nusers: *b\n", "users: &u\n  bob: {}\n  <<: {eve: {}}\n"])
def test_what_cannot_be_edited_safely_is_refused_or_right(text: str) -> None:
    try:
        edited = with_user(text, ALICE, "users.yaml")
    except StartError:
        return
    assert parse_users(parse_document(edited, "users.yaml"))["alice"] == ALICE


NAMES = (
    st.text(st.sampled_from("abyn05.-_ @'\"{}[]#&*!|>%,é"), min_size=1, max_size=6)
    .map(str.strip)
    .filter(lambda name: bool(name) and not name.startswith("#"))
)


MOMENTS = (
    st.none()
    | st.datetimes(
        min_value=dt.datetime(1, 1, 3),  # noqa: DTZ001 - hypothesis gives it the zone
        timezones=st.just(dt.UTC),
    )
    | st.dates(min_value=dt.date(1, 1, 3)).map(lambda day: dt.datetime.combine(day, dt.time(), dt.UTC))
)


@given(st.lists(st.tuples(NAMES, st.frozensets(NAMES, max_size=2), st.booleans(), MOMENTS), max_size=6))
def test_any_names_that_were_put_in_are_read_again_and_can_be_taken_out(
    users: list[tuple[str, frozenset[str], bool, dt.datetime | None]],
) -> None:
    text, wanted = "# kept\n", {}
    for name, groups, disabled, expires in users:
        wanted[name] = UserEntry(name, None, groups, disabled, expires)
        text = with_user(text, wanted[name], "users.yaml")
        assert parse_users(parse_document(text, "users.yaml")) == wanted
    for name in list(wanted):
        del wanted[name]
        text = without_user(text, name, "users.yaml")
        assert parse_users(parse_document(text, "users.yaml")) == wanted
    assert text.startswith("# kept\n")
