"""Byte ranges and chunk ranges, as decisions without a socket."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.errors import RangeInvalid
from authproxy.registry.ranges import format_received, parse_chunk_range, parse_range

ARABIC = "\u0661"  # a digit to Python's int(), and to no specification

GOOD = [
    ("bytes=0-0", 10, range(1)),
    ("bytes=0-9", 10, range(10)),
    ("bytes=0-10", 10, range(10)),
    ("bytes=9-", 10, range(9, 10)),
    ("bytes=-1", 10, range(9, 10)),
    ("bytes=-11", 10, range(10)),
    ("bytes= 1-2", 10, range(1, 3)),
    ("bytes=0-" + "9" * 40, 10, range(10)),
]
WHOLE = [None, "", "lines=0-1", "bytes", "bytes 0-1", "bytes=0-1,2-3"]
REFUSED = [
    "bytes=",
    "bytes=-",
    "bytes=5",
    "bytes=3-2",
    "bytes=10-",
    "bytes=-0",
    "bytes=0x1-2",
    "bytes=1-2 x",
    "bytes=--1",
]


@pytest.mark.parametrize(("value", "size", "expected"), GOOD, ids=[row[0][:20] for row in GOOD])
def test_range(value: str, size: int, expected: range) -> None:
    assert parse_range(value, size) == expected


@pytest.mark.parametrize("value", WHOLE)
def test_no_range_is_the_whole(value: str | None) -> None:
    assert parse_range(value, 10) is None


@pytest.mark.parametrize("value", [*REFUSED, "bytes=0-" + "9" * 5000, f"bytes={ARABIC}-{ARABIC}"])
def test_refused_range(value: str) -> None:
    with pytest.raises(RangeInvalid) as raised:
        parse_range(value, 10)
    assert raised.value.headers == (("Content-Range", "bytes */10"),)


@pytest.mark.parametrize("value", ["bytes=0-", "bytes=0-0", "bytes=-0"])
def test_nothing_has_no_range(value: str) -> None:
    with pytest.raises(RangeInvalid):
        parse_range(value, 0)


def test_the_end_of_nothing_is_the_whole() -> None:
    """RFC 9110 §14.1.2: a suffix that is not zero is satisfiable, however short the content."""
    assert parse_range("bytes=-5", 0) is None


@given(value=st.one_of(st.text(), st.from_regex(r"bytes=[0-9]*-[0-9]*", fullmatch=True)), size=st.integers(0, 1000))
def test_any_text_is_a_part_of_the_content_or_refused(value: str, size: int) -> None:
    try:
        found = parse_range(value, size)
    except RangeInvalid:
        return
    assert found is None or (len(found) > 0 and 0 <= found.start < found.stop <= size)


@given(first=st.integers(0, 100), length=st.integers(1, 100), beyond=st.integers(0, 100))
def test_a_range_within_the_content_comes_back(first: int, length: int, beyond: int) -> None:
    expected = range(first, first + length)
    assert parse_range(f"bytes={first}-{first + length - 1}", first + length + beyond) == expected


@pytest.mark.parametrize(("value", "expected"), [("0-0", range(1)), ("5-9", range(5, 10)), ("007-8", range(7, 9))])
def test_chunk_range(value: str, expected: range) -> None:
    assert parse_chunk_range(value) == expected


@pytest.mark.parametrize(
    "value", ["", "-", "1-", "-1", "2-1", "bytes 0-1", "0-1/2", "0 - 1", "9" * 5000 + "-1", f"{ARABIC}-{ARABIC}"]
)
def test_refused_chunk_range(value: str) -> None:
    with pytest.raises(RangeInvalid, match="Content-Range must be"):
        parse_chunk_range(value)


@given(st.text())
def test_any_text_is_a_chunk_range_or_refused(value: str) -> None:
    with suppress(RangeInvalid):
        assert len(parse_chunk_range(value)) > 0


@given(first=st.integers(0, 10**17), length=st.integers(1, 10**9))
def test_a_chunk_range_comes_back(first: int, length: int) -> None:
    assert parse_chunk_range(f"{first}-{first + length - 1}") == range(first, first + length)


@pytest.mark.parametrize(("size", "expected"), [(0, "0-0"), (1, "0-0"), (2, "0-1"), (1000, "0-999")])
def test_what_a_session_has_received(size: int, expected: str) -> None:
    assert format_received(size) == expected
