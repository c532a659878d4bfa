import pytest

from authproxy.digest import Digest
from authproxy.images.daemon.local import LocalImage, choose

ONE, TWO, THREE = (Digest.of(text) for text in (b"1", b"2", b"3"))
IMAGES = [
    LocalImage(TWO, ("other/two:v2", "two:v2"), 2),
    LocalImage(ONE, ("host:5000/team/one:v1",), 1),
    LocalImage(THREE, (), 3),
]

CHOICES = [
    ("no pattern: all that have a name", [], ["host:5000/team/one:v1", "other/two:v2", "two:v2"]),
    ("a name", ["two:v2"], ["two:v2"]),
    ("a name without a tag", ["two"], ["two:v2"]),
    ("a pattern over slashes", ["*two*"], ["other/two:v2", "two:v2"]),
    ("a host's port is no tag", ["host:5000/*"], ["host:5000/team/one:v1"]),
    ("several patterns", ["two", "host*"], ["host:5000/team/one:v1", "two:v2"]),
    ("a pattern that means nothing", ["three"], []),
]


@pytest.mark.parametrize(("patterns", "names"), [row[1:] for row in CHOICES], ids=[row[0] for row in CHOICES])
def test_pattern_chooses(patterns: list[str], names: list[str]) -> None:
    assert [name for image in choose(IMAGES, patterns) for name in image.names] == names


def test_an_image_without_names_is_read() -> None:
    image = LocalImage.from_json({"Id": str(ONE), "RepoTags": ["<none>:<none>"], "Size": 5})
    assert image == LocalImage(ONE, (), 5)
