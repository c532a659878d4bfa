import pytest

from authproxy.images.pattern import is_pattern, means


@pytest.mark.parametrize("text", ["a.b/*", "a.b/app:v?", "a.b/[ab]", "*/app", "[::1]:5000/*"])
def test_pattern_is_told_from_a_name(text: str) -> None:
    assert is_pattern(text)


@pytest.mark.parametrize("text", ["a.b/app:v1", "app", "[::1]:5000/app:v1", "[::1]/app"])
def test_name_is_no_pattern(text: str) -> None:
    assert not is_pattern(text)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*", "a/b:v1"),
        ("team/*", "team/deep/app:v1"),
        ("team/app", "team/app:v1"),
        ("team/app:v1.*", "team/app:v1.2"),
        ("*:v1", "team/app:v1"),
        ("localhost:5000/*", "localhost:5000/app:v1"),
    ],
)
def test_pattern_means(pattern: str, name: str) -> None:
    assert means(pattern, name)


@pytest.mark.parametrize(
    ("pattern", "name"), [("team", "team/app:v1"), ("team/app:v1", "team/app:v11"), ("TEAM/*", "team/app:v1")]
)
def test_pattern_does_not_mean(pattern: str, name: str) -> None:
    assert not means(pattern, name)
