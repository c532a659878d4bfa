"""`images delete HOST/REPOSITORY`, against our own registry and others."""

from pathlib import Path

import pytest

from authproxy.digest import Digest
from tests.images.conftest import Images, Registry
from tests.images.layouts import write_two_platforms
from tests.support.image import Image, make_image, write_layout


@pytest.fixture(params=["plain", "ours", "fronted"])
def registry(request: pytest.FixtureRequest) -> Registry:
    found: Registry = request.getfixturevalue(request.param)
    return found


def fill(images: Images, place: str, tmp_path: Path) -> tuple[Image, Image, Digest, Image, Image]:
    """An index with its two images, an image with two tags, and one whose tag was moved away."""
    amd, arm, index = write_two_platforms(tmp_path / "index", f"{place}:multi")
    images.must("push", tmp_path / "index", place.partition("/")[0])
    old, new = make_image(f"old {place}"), make_image(f"new {place}")
    for image, folder in ((old, "old"), (new, "new")):
        write_layout(image, tmp_path / folder, "latest")
        images.must("push", tmp_path / folder, place)
    images.must("tag", f"{place}:latest", f"{place}:v2")
    return amd, arm, index, old, new


def test_repository_goes_as_a_whole(images: Images, registry: Registry, ours: Registry, tmp_path: Path) -> None:
    place = f"{registry.host}/whole/app"
    amd, arm, index, old, new = fill(images, place, tmp_path)
    write_layout(make_image("beside"), tmp_path / "beside", "v1")
    images.must("push", tmp_path / "beside", f"{place}/beside")
    is_complete = registry is ours  # only our own core lists the image whose tag was moved away

    assert images("delete", place).code == 2, "nobody can be asked"
    *would, whole = images.objects("delete", "--dry-run", place)
    expected = {
        str(new.digest): ["latest", "v2"], str(index): ["multi"], str(amd.digest): [], str(arm.digest): [],
    } | ({str(old.digest): []} if is_complete else {})  # fmt: skip
    assert {each["digest"]: each["tags"] for each in would} == expected
    assert {each["outcome"] for each in (*would, whole)} == {"would be deleted"}
    assert whole["name"] == place
    counts = whole["whole"]
    assert (counts["tags"], counts["manifests"], counts["complete"]) == (3, len(expected), bool(is_complete))

    done = images("delete", "--yes", place)
    assert done.code == 0, str(done)
    *lines, last = done.out.splitlines()
    order = [line.rpartition(" ")[2] for line in lines]
    assert set(order) == set(expected)
    assert max(order.index(str(each.digest)) for each in (amd, arm)) > order.index(str(index))
    assert last == f"deleted {place} as {'a whole' if is_complete else 'far as the registry lists it'}"
    assert ("the registry doesn't list manifests without a tag" in done.err) == (not is_complete)
    assert images.list(registry, "--filter", "whole/*") == ["whole/app/beside:v1"]
    for image in (amd, arm, new):
        assert images("inspect", f"{place}@{image.digest}").code == 1
    again = images("delete", "--yes", place)
    if is_complete:
        assert (again.code, again.err) == (1, f"authproxy: {place}: the registry has no such repository\n")
