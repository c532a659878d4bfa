"""Lines and their chain: each holds the hash of the one before, over a form that stands above spaces and order."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.audit.chain import GENESIS, LineInvalid, Link, new_writer, parse_line, seal

START = Link("w")


def test_a_line_is_its_fields_the_chain_and_the_hash_of_both() -> None:
    raw, link = seal({"user": "älice"}, START)
    content = f'{{"previous":"{GENESIS}","sequence":1,"user":"\\u00e4lice","writer":"w"}}'
    digest = hashlib.sha256(content.encode()).hexdigest()
    assert raw.decode() == f'{content[:-1]},"hash":"{digest}"}}\n'
    assert link == Link("w", 1, digest)


def test_the_next_line_holds_the_hash_of_the_one_before() -> None:
    first, link = seal({}, START)
    second, _ = seal({}, link)
    assert parse_line(second).previous == parse_line(first).link.hash
    assert parse_line(second).link.sequence == 2


def test_a_line_is_read_back() -> None:
    raw, link = seal({"user": "alice", "groups": ["a"]}, START)
    line = parse_line(raw)
    assert (line.link, line.previous, line.is_sound) == (link, GENESIS, True)
    assert line.fields == {"user": "alice", "groups": ["a"]}


def test_fields_in_another_order_and_with_spaces_are_the_same_line() -> None:
    raw, _ = seal({"user": "alice", "asked": []}, START)
    fields = json.loads(raw)
    rewritten = json.dumps(dict(reversed(fields.items())), indent=1, ensure_ascii=False).replace("\n", " ").encode()
    assert parse_line(rewritten).is_sound


def test_what_a_syslog_daemon_writes_before_a_line_is_passed_over() -> None:
    raw, link = seal({}, START)
    assert parse_line(b"Jan  2 03:04:05 node-1 authproxy[7]: " + raw).link == link


@pytest.mark.parametrize("field", ["user", "sequence", "writer", "previous", "hash"])
def test_a_change_of_any_field_shows(field: str) -> None:
    fields = json.loads(seal({"user": "alice"}, START)[0])
    fields[field] = 7 if field == "sequence" else "mallory"
    assert not parse_line(json.dumps(fields).encode()).is_sound


def test_a_field_more_shows() -> None:
    fields = json.loads(seal({"user": "alice"}, START)[0])
    assert not parse_line(json.dumps({**fields, "granted": ["x"]}).encode()).is_sound


REFUSED = {
    "nothing": (b"\n", "not an audit line"),
    "another text": (b"listening on https://localhost:5000\n", "not an audit line"),
    "a torn line": (b'{"user":"al', "not JSON"),
    "other JSON": (b'{"user":"alice"}', "it lacks one of writer"),
    "a key twice": (b'{"user":"alice","user":"bob"}', "the key 'user' appears twice"),
    "no UTF-8": (b'{"user":"\xff"}', "not JSON"),
    "depth": (b'{"a":' + b"[" * 100_000, "nested too deeply"),
    "a text for the number": (b'{"writer":"w","sequence":"1","previous":"","hash":""}', "it lacks one of"),
}


@pytest.mark.parametrize(("raw", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_line_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(LineInvalid, match=reason):
        parse_line(raw)


def test_a_number_that_json_does_not_have_is_no_sound_line() -> None:
    assert not parse_line(b'{"writer":"w","sequence":1,"previous":"","hash":"","n":NaN}').is_sound


def test_writers_have_names_of_their_own() -> None:
    assert new_writer() != new_writer()


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.sampled_from(["user", "claims", "reason"]), values), min_size=1, max_size=4))
def test_any_chain_is_sound_line_by_line(several: list[dict[str, Any]]) -> None:
    link = START
    for fields in several:
        raw, link = seal(fields, link)
        line = parse_line(raw)
        assert (line.is_sound, line.link, line.fields, raw.count(b"\n")) == (True, link, fields, 1)
