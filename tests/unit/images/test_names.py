import pytest

from authproxy.digest import Digest
from authproxy.images.archive.archive import ArchivedImage
from authproxy.images.names import is_pattern, is_prefix, matches, name_below, name_in_repository, names_below


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
    assert matches(pattern, name)


@pytest.mark.parametrize(
    ("pattern", "name"), [("team", "team/app:v1"), ("team/app:v1", "team/app:v11"), ("TEAM/*", "team/app:v1")]
)
def test_pattern_does_not_mean(pattern: str, name: str) -> None:
    assert not matches(pattern, name)


PLACES = [
    ("app:v1", "host:5000", "host:5000/app:v1"),
    ("app", "host:5000", "host:5000/app:latest"),
    ("docker.io/library/app:v1", "host", "host/app:v1"),
    ("docker.io/team/app:v1", "host", "host/team/app:v1"),
    ("library/app:v1", "host", "host/library/app:v1"),
    ("ghcr.io/team/app:v1", "host/mirror/", "host/mirror/team/app:v1"),
    ("localhost:5000/team/app", "host", "host/team/app:latest"),
    ("localhost/app:v1", "host", "host/app:v1"),
    ("team/app:v1", "host", "host/team/app:v1"),
    ("host:5000/app:v1@sha256:abc", "other", "other/app:v1"),
]


@pytest.mark.parametrize(("name", "place", "expected"), PLACES)
def test_registry_in_a_name_is_replaced(name: str, place: str, expected: str) -> None:
    assert name_below(name, place) == expected


@pytest.mark.parametrize(
    ("destination", "expected"), [("host:5000", True), ("host/", True), ("host/a/", True), ("host/app", False)]
)
def test_destination_is_a_place_or_one_repository(destination: str, *, expected: bool) -> None:
    assert is_prefix(destination) == expected


def image(names: tuple[str, ...] = (), tags: tuple[str, ...] = ()) -> ArchivedImage:
    return ArchivedImage("x", names, tags, Digest.of(b"x"))


def test_names_that_become_the_same_are_one() -> None:
    assert names_below(image(("app:v1", "ghcr.io/app:v1", "b:v1")), "host") == ("host/app:v1", "host/b:v1")
    assert names_below(image(tags=("v1",)), "host") == ()


REPOSITORIES = [
    (image(("x:v1",)), "host/app", "host/app:v1"),
    (image(("x:v1", "y:v1")), "host/app", "host/app:v1"),
    (image(("x:v1", "x:v2")), "host/app", "host/app:latest"),
    (image(tags=("v3",)), "host:5000/app", "host:5000/app:v3"),
    (image(), "host:5000/app", "host:5000/app:latest"),
    (image(("x:v1",)), "host/app:v9", "host/app:v9"),
]


@pytest.mark.parametrize(("archived", "destination", "expected"), REPOSITORIES)
def test_image_gets_a_tag_in_one_repository(archived: ArchivedImage, destination: str, expected: str) -> None:
    assert name_in_repository(archived, destination) == expected
