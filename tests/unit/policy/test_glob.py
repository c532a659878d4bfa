import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.errors import NameInvalid
from authproxy.policy.glob import Glob, GlobInvalid, placeable_name
from authproxy.principal import Principal
from authproxy.reference import parse_repository
from tests.unit.policy.builders import CLAIMS, GLOB_SEGMENTS, GROUPS, NAMES, SEGMENTS, globs, principals, repositories


def matches(glob: str, repository: str, user: str = "") -> bool:
    return Glob.parse(glob).matches(repository.split("/"), Principal(user))


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
    ("capitals", "Team/**", "no repository name can contain"),
    ("a question mark", "team/?", "no repository name can contain"),
    ("a regular expression", "team/(a|b)", "no repository name can contain"),
    ("a character class", "team/[ab]", "no repository name can contain"),
    ("alternatives in braces", "team/{a,b}", "{a,b} is not a known placeholder"),
    (
        "an unknown placeholder",
        "{role}/**",
        "{role} is not a known placeholder; allowed: {user}, {user@DOMAIN}, {group}, {claims.NAME}",
    ),
    ("a placeholder of no domain", "{user@}/**", "{user@} is not a known placeholder"),
    ("a placeholder of two domains", "{user@a@b}/**", "is not a known placeholder"),
    ("a domain and a star", "{user@x.org}-*", "one path segment"),
    ("a claim without a name", "{claims.}/**", "{claims.} is not a known placeholder"),
    ("a path of names", "{user:path}/**", "{user:path} is not a known placeholder"),
    ("another kind of value", "{claims.project:int}", "{claims.project:int} is not a known placeholder"),
    ("text beside a path", "x-{claims.p:path}", 'x-{claims.p:path}" has text beside'),
    ("two paths", "{claims.a:path}/x/{claims.b:path}", "two placeholders of several segments"),
    ("a group and a star in one segment", "{group}*", "one path segment"),
    ("a placeholder in capitals", "{USER}/**", "{USER} is not a known placeholder"),
    ("an open brace", "{user/**", "no repository name can contain"),
    ("a tag", "team/app:v1", "no repository name can contain"),
    ("a line break", "team\n", "no repository name can contain"),
    ("a double star beside text", "team/app**", "whole path segment"),
    ("three stars", "team/***", "whole path segment"),
    ("a segment that no name has", "team/_private", "not a path segment of a repository name"),
    ("dots alone", "../team", "not a path segment of a repository name"),
    ("a placeholder and a star in one segment", "{user}-*", "one path segment"),
    ("two placeholders in one segment", "{user}-{user}", "one path segment"),
    ("a placeholder behind a dash", "-{user}", "not a path segment of a repository name"),
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
    ("a mail address", "{user@x.org}/**", "ann/app", "ann@x.org", True),
    ("text around the local part", "dev-{user@x.org}/**", "dev-ann/app", "ann@x.org", True),
    ("somebody else at the domain", "{user@x.org}/**", "bob/app", "ann@x.org", False),
    ("another domain", "{user@x.org}/**", "ann/app", "ann@y.org", False),
    ("a domain below", "{user@x.org}/**", "ann/app", "ann@mail.x.org", False),
    ("a domain that ends alike", "{user@x.org}/**", "ann/app", "ann@notx.org", False),
    ("a dot of the domain is no wildcard", "{user@x.org}/**", "ann/app", "ann@xxorg", False),
    ("capitals in the domain", "{user@x.org}/**", "ann/app", "ann@X.org", False),
    ("the domain and more", "{user@x.org}/**", "ann/app", "ann@x.org.evil.example", False),
    ("no domain", "{user@x.org}/**", "ann/app", "ann", False),
    ("a domain alone", "{user@x.org}/**", "ann/app", "@x.org", False),
    ("two ats", "{user@x.org}/**", "ann/app", "ann@y.org@x.org", False),
    ("a plus in the local part", "{user@x.org}/**", "ann/app", "ann+ci@x.org", False),
    ("capitals in the local part", "{user@x.org}/**", "ann/app", "Ann@x.org", False),
    ("the whole name", "{user}/**", "ann/app", "ann@x.org", False),
    ("nobody at a domain", "{user@x.org}/**", "ann/app", "", False),
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


KNOWN = Principal(
    "alice", frozenset({"devs", "Ops", "a/b", "*"}), {"project": "team/app", "ids": ["x", 12, True, None]}
)
TEAM = Principal("alice", claims={"project": ["a", "b/c", "D/e", "**"]})

VALUES = [
    ("a group", "{group}/**", "devs/app", KNOWN, True),
    ("another group", "{group}/**", "ops/app", KNOWN, False),
    ("a group with a slash", "{group}/x", "a/b/x", KNOWN, False),
    ("a star as group", "{group}/**", "bob/app", KNOWN, False),
    ("text around a group", "all-{group}/x", "all-devs/x", KNOWN, True),
    ("no group", "{group}/**", "devs/app", Principal("devs"), False),
    ("each placeholder by itself", "{group}/{user}", "devs/alice", KNOWN, True),
    ("a claim of several segments has no place in one", "{claims.project}/**", "team/app/x", KNOWN, False),
    ("a claim of several segments in its place", "{claims.project:path}/**", "team/app/x", KNOWN, True),
    ("a part of a claim is not the claim", "{claims.project:path}", "team", KNOWN, False),
    ("more than the claim is not the claim", "{claims.project:path}", "team/app/x", KNOWN, False),
    ("a claim behind others", "x/**/{claims.project:path}/z", "x/y/team/app/z", KNOWN, True),
    ("each value of a list", "{claims.project}/x", "a/x", TEAM, True),
    ("each path of a list", "{claims.project:path}/x", "b/c/x", TEAM, True),
    ("capitals in a claim", "{claims.project:path}", "d/e", TEAM, False),
    ("stars in a claim", "{claims.project:path}", "a/b/c", TEAM, False),
    ("a number", "p/{claims.ids}", "p/12", KNOWN, True),
    ("a truth", "p/{claims.ids}", "p/true", KNOWN, True),
    ("nothing", "p/{claims.ids}", "p/none", KNOWN, False),
    ("a claim that is not there", "{claims.other}/**", "a/b", KNOWN, False),
    ("nobody has claims without a name", "{claims.project}", "a", Principal("", claims={"project": "a"}), False),
]


@pytest.mark.parametrize(
    ("glob", "repository", "caller", "is_match"), [row[1:] for row in VALUES], ids=[row[0] for row in VALUES]
)
def test_values_of_the_caller(glob: str, repository: str, caller: Principal, is_match: bool) -> None:  # noqa: FBT001  a column
    assert Glob.parse(glob).matches(repository.split("/"), caller) is is_match


def definition(glob: str, caller: Principal) -> str:
    """A regular expression: each segment with the slash before it, so that `**` is a plain repetition."""

    def choice(match: re.Match[str]) -> str:
        project = caller.claims.get("project", [])
        values = {
            "{user}": [caller.name],
            "{user@x.org}": re.findall(r"\A(.*)@x\.org\Z", caller.name, re.DOTALL),
            "{group}": caller.groups,
            "{claims.project}": [project] if isinstance(project, str) else project,
        }[match[0].replace(":path", "")]
        good = [value for value in values if is_placeable(value, is_path=":path" in match[0])]
        return "(" + "|".join(map(re.escape, good)) + ")" if good else "(?!)"

    def part(segment: str) -> str:
        if segment == "**":
            return "(/[^/]+)*"
        head, placeholder, tail = re.fullmatch(r"([^{]*)(\{.*\})?([^{]*)", segment).groups()  # type: ignore[union-attr]  # any segment has this form
        texts = [re.escape(text).replace(r"\*", "[^/]*") for text in (head, tail)]
        middle = choice(re.match(".*", placeholder)) if placeholder else ""  # type: ignore[arg-type]  # it always matches
        return f"/{texts[0]}{middle}{texts[1]}"

    return "".join(map(part, glob.split("/")))


def is_placeable(value: str, *, is_path: bool) -> bool:
    try:
        parse_repository(value)
    except NameInvalid:
        return False
    return is_path or "/" not in value


@given(globs, repositories, principals)
def test_agrees_with_the_definition(glob: str, repository: str, caller: Principal) -> None:
    is_match = Glob.parse(glob).matches(repository.split("/"), caller)
    assert is_match == bool(re.fullmatch(definition(glob, caller), "/" + repository))


@given(st.one_of(repositories, globs, st.text()), repositories)
def test_no_value_escapes_its_place(value: str, repository: str) -> None:
    group, claim = Principal("x", frozenset({value})), Principal("x", claims={"c": value})
    first = repository.split("/", maxsplit=1)[0]
    for glob, caller in (("{group}/**", group), ("{claims.c}/**", claim)):
        assert Glob.parse(glob).matches(repository.split("/"), caller) == (first == value)
    is_below = repository == value or repository.startswith(value + "/")
    assert Glob.parse("{claims.c:path}/**").matches(repository.split("/"), claim) == is_below


@given(st.one_of(st.text("abc019._-*/{}user@", max_size=30), globs))
def test_every_text_is_a_glob_or_refused(text: str) -> None:
    try:
        glob = Glob.parse(text)
    except GlobInvalid:
        return
    assert str(glob) == text
    is_about_users = "{user}" in text or "{user@" in text
    assert any(placeholder.kind == "user" for placeholder in glob.placeholders) == is_about_users
    assert (glob.for_user("a/b") is None) == is_about_users


@given(globs, repositories, principals)
def test_whatever_matches_has_the_literal_head_and_tail(glob: str, repository: str, caller: Principal) -> None:
    head = Glob.parse(glob).literal_head
    if head is not None and Glob.parse(glob).matches(repository.split("/"), caller):
        assert repository.split("/", maxsplit=1)[0] == head
    tail = Glob.parse(glob).literal_tail
    if tail is not None and Glob.parse(glob).matches(repository.split("/"), caller):
        assert repository.rpartition("/")[2] == tail


def test_generated_segments_are_all_allowed() -> None:
    """And each meets the small world that the properties are about: one that never matched would check nothing."""
    callers = [Principal(name, frozenset(GROUPS), {"project": CLAIMS}) for name in NAMES]
    for segment in GLOB_SEGMENTS:
        glob = Glob.parse(segment)
        assert str(glob) == segment
        assert any(glob.matches([name], caller) for name in SEGMENTS for caller in callers), segment


def test_many_stars_on_a_long_name_do_not_explode() -> None:
    # With a backtracking matcher either of these takes longer than a lifetime.
    assert not matches("a*" * 100 + "b", "a" * 255)
    assert not matches("**/a/" * 40 + "b", "/".join("a" * 128))


@given(globs, repositories, st.sampled_from(NAMES))
def test_a_glob_for_a_user_is_the_glob_with_the_user_asking(text: str, repository: str, name: str) -> None:
    glob, caller, segments = Glob.parse(text), Principal(name), repository.split("/")
    placed = glob.for_user(name)
    assert glob.matches(segments, caller) == (placed is not None and placed.matches(segments, caller))


def test_a_name_that_makes_a_glob_too_long_has_no_glob() -> None:
    assert Glob.parse("{user}/" + "a" * 200).for_user("b" * 100) is None
