"""Digests, names and tags: the grammars, from both sides."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.digest import Digest, parse_digest
from authproxy.errors import RegistryError
from authproxy.reference import parse_reference, parse_repository, parse_tag

ALPHANUMERIC = st.text("abcz019", min_size=1, max_size=6)
SEPARATOR = st.sampled_from([".", "_", "__", "-", "---"])
COMPONENT = st.builds(lambda a, s, b: a + s + b, ALPHANUMERIC, SEPARATOR, ALPHANUMERIC) | ALPHANUMERIC
NAME = st.lists(COMPONENT, min_size=1, max_size=5).map("/".join)


@given(NAME)
def test_what_the_grammar_makes_is_a_repository(name: str) -> None:
    assert parse_repository(name) == name


@pytest.mark.parametrize("name", ["", "/", "a/", "/a", "a..b", "a___b", "-a", "a-", "a/_b", "A", "a b", "a\n", "é"])
def test_refused_repository(name: str) -> None:
    with pytest.raises(RegistryError) as caught:
        parse_repository(name)
    assert caught.value.code == "NAME_INVALID"


def test_a_name_may_have_255_characters_and_no_more() -> None:
    assert parse_repository("a" * 255)
    with pytest.raises(RegistryError):
        parse_repository("a" * 256)


@given(st.binary(max_size=64), st.sampled_from(["sha256", "sha512"]))
def test_a_digest_prints_as_it_parses(content: bytes, algorithm: str) -> None:
    digest = Digest.of(content, algorithm)
    assert digest.hex == hashlib.new(algorithm, content).hexdigest()
    assert parse_digest(str(digest)) == digest


@given(st.text(max_size=140))
def test_a_reference_is_a_digest_a_tag_or_our_error(text: str) -> None:
    try:
        assert str(parse_reference(text)) == text
    except RegistryError as error:
        assert error.code in {"DIGEST_INVALID", "TAG_INVALID"}


@pytest.mark.parametrize("tag", ["", ".a", "-a", "a/b", "a:b", "a" * 129, "a\n"])
def test_refused_tag(tag: str) -> None:
    with pytest.raises(RegistryError) as caught:
        parse_tag(tag)
    assert caught.value.code == "TAG_INVALID"
