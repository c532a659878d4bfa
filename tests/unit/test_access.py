import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.access import Access, Grant, delete, format_scopes, from_claim, parse_scopes, pull, push, to_claim

SCOPES = [
    ("one", ["repository:a:pull"], [pull("a")]),
    ("several actions", ["repository:a/b:pull,push"], [pull("a/b"), push("a/b")]),
    ("repeated field", ["repository:a:pull", "repository:b:pull"], [pull("a"), pull("b")]),
    ("spaces within one value", ["repository:a:pull repository:b:pull"], [pull("a"), pull("b")]),
    (
        "both ways, and twice the same",
        ["repository:a:pull", "repository:b:pull  repository:a:pull"],
        [pull("a"), pull("b")],
    ),
    ("a name with host and port", ["repository:host:5000/a:pull"], [pull("host:5000/a")]),
    ("a class", ["repository(plugin):a:pull"], [pull("a")]),
    ("the catalog", ["registry:catalog:*"], [Access("registry", "catalog", "*")]),
    ("unknown types are kept, policies grant them nothing", ["planet:mars:visit"], [Access("planet", "mars", "visit")]),
    ("nothing", [], []),
    ("blank", ["", "   "], []),
    ("no actions", ["repository:a:"], []),
    ("empty actions between", ["repository:a:,pull,,"], [pull("a")]),
    ("no name", ["repository::pull"], []),
    ("no colon", ["repository"], []),
    ("one colon", ["repository:a"], []),
    ("capital type", ["Repository:a:pull"], []),
    ("an open class", ["repository(plugin:a:pull"], []),
]


@pytest.mark.parametrize(("texts", "accesses"), [row[1:] for row in SCOPES], ids=[row[0] for row in SCOPES])
def test_scope(texts: list[str], accesses: list[Access]) -> None:
    assert list(parse_scopes(texts)) == accesses


WORDS = st.text(st.sampled_from("abz019._-/:*"), min_size=1, max_size=12)
ACTIONS = st.text(st.sampled_from("abz*"), min_size=1, max_size=6)
ACCESSES = st.lists(st.builds(Access, st.text(st.sampled_from("abz0"), min_size=1, max_size=6), WORDS, ACTIONS))


@given(ACCESSES)
def test_what_is_written_is_read_again(accesses: list[Access]) -> None:
    assert set(parse_scopes(format_scopes(accesses))) == set(accesses)
    assert set(parse_scopes([" ".join(format_scopes(accesses))])) == set(accesses)


@given(ACCESSES)
def test_the_claim_says_what_the_accesses_say(accesses: list[Access]) -> None:
    assert from_claim(to_claim(accesses)) == set(accesses)


@given(st.lists(st.text(max_size=40)))
def test_any_text_is_read_without_error(texts: list[str]) -> None:
    parsed = parse_scopes(texts)
    assert len(set(parsed)) == len(parsed)


@pytest.mark.parametrize("claim", ["x", 1, [1], [{"type": "repository"}], [{"type": 1, "name": "a", "actions": []}]])
def test_a_claim_of_another_shape_is_refused(claim: object) -> None:
    with pytest.raises(ValueError, match="access"):
        from_claim(claim)


def test_a_star_in_a_grant_covers_every_action_on_that_resource_alone() -> None:
    grant = Grant("u", frozenset({Access("repository", "a", "*")}))
    assert grant.covers(delete("a"))
    assert grant.lacks([pull("a"), pull("b")]) == (pull("b"),)


def test_a_star_in_a_wish_is_not_covered_by_single_actions() -> None:
    assert not Grant("u", frozenset({pull("a"), push("a"), delete("a")})).covers(Access("repository", "a", "*"))
