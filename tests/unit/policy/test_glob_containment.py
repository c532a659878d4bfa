import pytest
from hypothesis import given

from authproxy.policy.glob import Glob
from authproxy.policy.glob_containment import covers, glob_for, is_matchable, key_covers, keys_may_meet, may_meet
from authproxy.policy.model import ANONYMOUS, EVERYONE, SIGNED_IN, SubjectKey, subject_keys
from authproxy.principal import Principal
from tests.unit.policy.builders import globs as glob_texts
from tests.unit.policy.builders import principals, repositories
from tests.unit.policy.builders import subject_keys as keys

globs = glob_texts.map(Glob.parse)

COVERS = [
    ("**", "a/b", True),
    ("**", "{user}/**", True),
    ("team/**", "team", True),
    ("team/**", "team/*", True),
    ("team/*", "team/**", False),
    ("team/*", "team/app", True),
    ("*/app", "{user}/app", True),
    ("{user}/app", "*/app", False),
    ("{user}/**", "{user}/app", True),
    ("user/app", "{user}/app", False),
    ("*user*/app", "{user}/app", False),
    ("a*", "a-b*", True),
    ("a*b", "a*", False),
    ("a*b*", "a*b", True),
    ("**/a", "**", False),
    ("**/a/**", "x/**/a", True),
    ("*", "**", False),
    ("*", "{claims.x}", True),
    ("*", "{claims.x:path}", False),
    ("{claims.x}", "{claims.y}", False),
    ("{claims.x:path}", "{claims.x}", False),
    ("**", "{claims.x:path}/a", True),
    ("{claims.x:path}/*", "{claims.x:path}/a", True),
]


@pytest.mark.parametrize(("outer", "inner", "is_covered"), COVERS)
def test_covers(outer: str, inner: str, is_covered: bool) -> None:  # noqa: FBT001  a column
    assert covers(Glob.parse(outer), Glob.parse(inner)) is is_covered


MEET = [
    ("a/**", "b/**", False),
    ("a/**", "**/b", True),
    ("a*", "*b", True),
    ("a*", "b*", False),
    ("*-dev", "*-prod", False),
    ("a", "a/*", False),
    ("a/**", "a", True),
    ("{user}/x", "alice/x", True),
    ("{user}-x", "alice-y", False),
    ("a/*/c", "a/b/d", False),
    ("{claims.x:path}/c", "a/b/c", True),
    ("{claims.x:path}/c", "a/b/d", False),
    ("{group}/c", "a/b/c", False),
]


@pytest.mark.parametrize(("one", "other", "do_meet"), MEET)
def test_may_meet(one: str, other: str, do_meet: bool) -> None:  # noqa: FBT001  a column
    assert may_meet(Glob.parse(one), Glob.parse(other)) is do_meet
    assert may_meet(Glob.parse(other), Glob.parse(one)) is do_meet


@given(globs, globs, repositories, principals)
def test_both_are_never_wrong(one: Glob, other: Glob, repository: str, principal: Principal) -> None:
    matched, matches = (glob.matches(repository.split("/"), principal) for glob in (one, other))
    if covers(one, other):
        assert matched or not matches
    if matched and matches:
        assert may_meet(one, other)


@given(globs)
def test_a_glob_covers_itself_and_meets_itself(glob: Glob) -> None:
    assert covers(glob, glob)
    assert may_meet(glob, glob)


@given(keys, keys, principals)
def test_keys_are_never_wrong(one: SubjectKey, other: SubjectKey, principal: Principal) -> None:
    own = subject_keys(principal)
    if key_covers(one, other):
        assert one in own or other not in own
    if one in own and other in own:
        assert keys_may_meet(one, other)


def test_kinds_of_callers() -> None:
    alice, devs = SubjectKey("user", "alice"), SubjectKey("group", "devs")
    assert key_covers(EVERYONE, ANONYMOUS)
    assert key_covers(SIGNED_IN, devs)
    assert not key_covers(SIGNED_IN, EVERYONE)
    assert not key_covers(devs, alice)
    assert not keys_may_meet(ANONYMOUS, SIGNED_IN)
    assert not keys_may_meet(alice, SubjectKey("user", "bob"))
    assert keys_may_meet(alice, devs)


def test_a_glob_for_one_user_has_the_name_in_its_place() -> None:
    glob = Glob.parse("{user}/**")
    assert glob_for(glob, SubjectKey("user", "alice")) == Glob.parse("alice/**")
    assert glob_for(glob, SubjectKey("user", "No Path")) is None
    assert glob_for(glob, ANONYMOUS) is None
    assert glob_for(glob, SIGNED_IN) == glob


@pytest.mark.parametrize(
    ("text", "is_possible"),
    [(".*", False), ("a/*-", False), ("a..*", False), ("a-*", True), ("*", True), ("**/x_*", True), ("{user}/*", True)],
)
def test_segments_that_no_repository_has(text: str, is_possible: bool) -> None:  # noqa: FBT001  a column
    assert is_matchable(Glob.parse(text)) is is_possible
