from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.errors import TagInvalid
from authproxy.policy.glob import GlobInvalid
from authproxy.policy.tags import MAX_LENGTH, TagGlob
from authproxy.reference import parse_tag

ROWS = [
    ("itself", "v1", "v1", True),
    ("no part of it", "v1", "v10", False),
    ("capitals differ", "v1", "V1", False),
    ("a star behind", "v*", "v1.2-rc", True),
    ("a star is none too", "v*", "v", True),
    ("a star before", "*-rc", "v1-rc", True),
    ("a star between", "v*-rc", "v1-rc", True),
    ("two stars", "*.*", "1.2", True),
    ("two stars want both texts", "*.*-rc", "1.2", False),
    ("everything", "*", "latest", True),
    ("texts do not overlap", "ab*ba", "aba", False),
]


@pytest.mark.parametrize(("glob", "tag", "is_match"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_match(glob: str, tag: str, is_match: bool) -> None:  # noqa: FBT001  a column
    assert TagGlob.parse(glob).matches(tag) is is_match


REFUSED = [
    ("nothing", "", 'no tag can be ""'),
    ("a slash", "a/b", 'no tag can be "a/b"'),
    ("a colon", "app:v1", "no tag can be"),
    ("a placeholder", "{user}", "there are no placeholders in tags"),
    ("a dot in front", ".v*", "that begin with none of . and -"),
    ("a dash in front", "-*", "that begin with none of . and -"),
    ("a line break", "v1\n", "no tag can be"),
    ("too long", "a" * (MAX_LENGTH + 1), "up to 128"),
    ("two stars together", "v**", "allowed: one *"),
]


@pytest.mark.parametrize(("text", "says"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(text: str, says: str) -> None:
    with pytest.raises(GlobInvalid) as caught:
        TagGlob.parse(text)
    assert says in str(caught.value)


texts = st.text(alphabet="ab.*-", max_size=6)


@given(texts, st.text(alphabet="ab.-", max_size=6))
def test_it_matches_what_a_shell_does(text: str, tag: str) -> None:
    try:
        glob = TagGlob.parse(text)
    except GlobInvalid:
        return
    assert glob.matches(tag) == fnmatchcase(tag, text)


@given(texts)
def test_what_has_no_star_and_is_no_tag_is_refused(text: str) -> None:
    if "*" in text:
        return
    try:
        parse_tag(text)
    except TagInvalid:
        with pytest.raises(GlobInvalid):
            TagGlob.parse(text)
    else:
        assert str(TagGlob.parse(text)) == text
