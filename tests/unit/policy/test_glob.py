import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.policy.glob import Glob, GlobInvalid, placeable_name
from tests.unit.policy.builders import GLOB_SEGMENTS, NAMES, globs, repositories


def matches(glob: str, repository: str, user: str = "") -> bool:
    return Glob.parse(glob).matches(repository.split("/"), placeable_name(user))


MATCHES = [
    ("a name is itself", "team/app", "team/app"),
    ("a star is any text in a segment", "team/*", "team/app"),
    ("a star is no text too", "team/app*", "team/app"),
    ("a star in front", "team/*-app", "team/my-app"),
    ("two stars in a segment", "a*b*c", "a-x-b-y-c"),
    ("a piece that stands twice", "*ab*ab", "xabyab"),
    ("a literal with dots", "a.b/c", "a.b/c"),
    ("a double star is one segment", "team/**", "team/app"),
    ("a double star is many segments", "team/**", "team/a/b/c"),
    ("a double star is no segment", "team/**", "team"),
    ("a double star alone is everything", "**", "a/b/c"),
    ("a double star in front", "**/cache", "a/b/cache"),
    ("a double star in front is no segment too", "**/cache", "cache"),
    ("a double star in the middle", "a/**/z", "a/b/c/z"),
    ("a double star in the middle is no segment too", "a/**/z", "a/z"),
    ("two double stars", "a/**/m/**/z", "a/x/m/m/y/z"),
    ("at least one segment below", "team/*/**", "team/app/x"),
    ("stars between double stars", "**/a*/**/b", "x/ab/b"),
    ("the last place for the end", "**/b", "b/a/b"),
]


@pytest.mark.parametrize(("glob", "repository"), [row[1:] for row in MATCHES], ids=[row[0] for row in MATCHES])
def test_matches(glob: str, repository: str) -> None:
    assert matches(glob, repository)


MATCHES_NOT = [
    ("a star crosses no slash", "team/*", "team/a/b"),
    ("a star alone is one segment", "*", "a/b"),
    ("another name", "team/app", "team/app2"),
    ("a name that begins alike", "team/**", "team2/app"),
    ("a name that ends alike", "**/app", "my-app"),
    ("a longer name", "team", "team/app"),
    ("a shorter name", "team/app", "team"),
    ("a dot is no wildcard", "a.b", "axb"),
    ("first and last piece may not overlap", "ab*ba", "aba"),
    ("pieces in another order", "*b*a*", "ab"),
    ("the same segment for both ends", "a/**/a", "a"),
    ("nothing below where a segment is wanted", "team/*/**", "team"),
    ("the middle is missing", "a/**/m/**/z", "a/x/z"),
]


@pytest.mark.parametrize(("glob", "repository"), [row[1:] for row in MATCHES_NOT], ids=[row[0] for row in MATCHES_NOT])
def test_matches_not(glob: str, repository: str) -> None:
    assert not matches(glob, repository)


REFUSED = [
    ("empty", "", "empty path segment"),
    ("slash in front", "/team", "empty path segment"),
    ("slash behind", "team/", "empty path segment"),
    ("two slashes", "team//app", "empty path segment"),
    ("capitals", "Team/**", "no repository name can hold"),
    ("a question mark", "team/?", "no repository name can hold"),
    ("a regular expression", "team/(a|b)", "no repository name can hold"),
    ("a character class", "team/[ab]", "no repository name can hold"),
    ("alternatives in braces", "team/{a,b}", "{a,b} is no known placeholder"),
    ("an unknown placeholder", "{group}/**", "{group} is no known placeholder; allowed: {user}"),
    ("a placeholder in capitals", "{USER}/**", "{USER} is no known placeholder"),
    ("an open brace", "{user/**", "no repository name can hold"),
    ("a tag", "team/app:v1", "no repository name can hold"),
    ("a line break", "team\n", "no repository name can hold"),
    ("a double star beside text", "team/app**", "whole path segment"),
    ("three stars", "team/***", "whole path segment"),
    ("a segment that no name has", "team/_private", "no path segment of a repository name"),
    ("dots alone", "../team", "no path segment of a repository name"),
    ("a placeholder and a star in one segment", "{user}-*", "one path segment"),
    ("two placeholders in one segment", "{user}-{user}", "one path segment"),
    ("a placeholder behind a dash", "-{user}", "no path segment of a repository name"),
    ("too long", "a/" * 128 + "a", "too long"),
]


@pytest.mark.parametrize(("glob", "says"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(glob: str, says: str) -> None:
    with pytest.raises(GlobInvalid, match=re.escape(says)) as caught:
        Glob.parse(glob)
    assert "allowed: " in str(caught.value)


USERS = [
    ("own space", "{user}/**", "alice/app", "alice", True),
    ("a repository of one's name", "{user}/**", "alice", "alice", True),
    ("somebody else's space", "{user}/**", "bob/app", "alice", False),
    ("a name that begins alike", "{user}/**", "alice2/app", "alice", False),
    ("a name with dots and dashes", "{user}/**", "a.b-c_d/app", "a.b-c_d", True),
    ("a dot is no wildcard", "{user}/**", "axb/app", "a.b", False),
    ("below a folder", "home/{user}/*", "home/alice/app", "alice", True),
    ("text around", "cache-{user}", "cache-alice", "alice", True),
    ("text around is not the name", "cache-{user}", "cache-bob", "alice", False),
    ("twice", "{user}/x/{user}", "a/x/a", "a", True),
    ("twice, two names", "{user}/x/{user}", "a/x/b", "a", False),
    ("anonymous", "{user}/**", "alice/app", "", False),
    ("a name with a slash", "{user}/**", "team/app/x", "team/app", False),
    ("a star as name", "{user}/**", "bob/app", "*", False),
    ("two stars as name", "{user}/**", "bob/app", "**", False),
    ("dots as name", "{user}/**", "bob/app", "..", False),
    ("a dot as name", "{user}/**", "bob/app", ".", False),
    ("a regular expression as name", "{user}/**", "bob/app", ".*", False),
    ("the placeholder as name", "{user}/**", "user/app", "{user}", False),
    ("capitals in the name", "{user}/**", "alice/app", "Alice", False),
    ("a line break behind the name", "{user}/**", "alice/app", "alice\n", False),
]


@pytest.mark.parametrize(
    ("glob", "repository", "user", "is_match"), [row[1:] for row in USERS], ids=[row[0] for row in USERS]
)
def test_user_is_literal_text(glob: str, repository: str, user: str, is_match: bool) -> None:  # noqa: FBT001  a column
    assert matches(glob, repository, user) is is_match


@pytest.mark.parametrize("name", ["", "a/b", "*", "..", "Alice", "-a", "a\n", "a b", "{user}", "a" * 256])
def test_a_name_that_is_no_path_segment_has_no_place(name: str) -> None:
    assert placeable_name(name) is None


@given(st.one_of(repositories, globs, st.text()), repositories)
def test_no_user_name_escapes_its_segment(name: str, repository: str) -> None:
    assert matches("{user}/**", repository, name) == (repository.split("/", maxsplit=1)[0] == name)


@given(globs, repositories, st.sampled_from(NAMES))
def test_agrees_with_the_definition(glob: str, repository: str, user: str) -> None:
    # Each segment with the slash before it, so that `**` is a plain repetition.
    pattern = "".join(
        "(/[^/]+)*" if segment == "**" else "/" + re.escape(segment.replace("{user}", user)).replace(r"\*", "[^/]*")
        for segment in glob.split("/")
    )
    assert matches(glob, repository, user) == bool(re.fullmatch(pattern, "/" + repository))


@given(st.text("abc019._-*/{}user", max_size=30))
def test_every_text_is_a_glob_or_refused(text: str) -> None:
    try:
        glob = Glob.parse(text)
    except GlobInvalid:
        return
    assert str(glob) == text
    assert glob.has_user == ("{user}" in text)


@given(globs, repositories, st.sampled_from(NAMES))
def test_whatever_matches_has_the_literal_head(glob: str, repository: str, user: str) -> None:
    head = Glob.parse(glob).literal_head
    if head is not None and matches(glob, repository, user):
        assert repository.split("/", maxsplit=1)[0] == head


def test_generated_segments_are_all_allowed() -> None:
    for segment in GLOB_SEGMENTS:
        Glob.parse(segment)


def test_many_stars_on_a_long_name_do_not_explode() -> None:
    # With a backtracking matcher either of these takes longer than a lifetime.
    assert not matches("a*" * 100 + "b", "a" * 255)
    assert not matches("**/a/" * 40 + "b", "/".join("a" * 128))
