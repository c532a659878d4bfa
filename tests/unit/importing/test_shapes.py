import pytest

from authproxy.importing.docker_auth.path_match import Malformed, parse_path_match
from authproxy.importing.plain_regex import parse_plain_regex
from authproxy.importing.shapes import to_glob

GLOBS = [
    ("team/*", "team/*"),
    ("team/**", "team/*"),
    ("*", "*"),
    ("team-*/app", "team-*/app"),
    ("\\team", "team"),
    ("team/?", None),
    ("[ab]/x", None),
    ("Team/*", None),
    ("team//x", None),
    ("/team", None),
]

EXPRESSIONS = [
    ("^team/.*$", ["team/*/**"]),
    ("^team\\/.+$", ["team/*/**"]),
    ("^team/[^/]+$", ["team/*"]),
    ("^team", ["team*/**"]),
    ("app$", ["**/*app"]),
    ("/app$", ["**/*/app"]),
    ("team", ["**/*team*/**"]),
    (".*", ["**"]),
    (".+", ["**"]),
    ("^(dev|prod)/.*$", ["dev/*/**", "prod/*/**"]),
    ("^(?:dev|prod)$", ["dev", "prod"]),
    ("^a\\.b$", ["a.b"]),
    ("^team.+$", [None]),
    ("^a[^/]+$", [None]),
    ("^a/.*/b$", [None]),
    ("^a$$", None),
    ("^a\\$", [None]),
    ("^a|b$", None),
    ("^ab*$", None),
    ("^a.b$", None),
    ("(?i)^team/.*$", None),
    ("^(a|b*)$", None),
    ("^\\d+$", None),
]


@pytest.mark.parametrize(("text", "glob"), GLOBS)
def test_a_glob_of_path_match_in_ours(text: str, glob: str | None) -> None:
    assert to_glob(parse_path_match(text)) == glob


@pytest.mark.parametrize("text", ["[", "[]", "[a", "[a-]", "[-a]", "a\\", "[^]", "[\\"])
def test_a_malformed_glob_matches_nothing(text: str) -> None:
    with pytest.raises(Malformed):
        parse_path_match(text)


@pytest.mark.parametrize(("text", "globs"), EXPRESSIONS)
def test_an_expression_as_globs(text: str, globs: list[str | None] | None) -> None:
    shapes = parse_plain_regex(text)
    assert (None if shapes is None else [to_glob(shape) for shape in shapes]) == globs
