"""Every command against every registry: `docker-registry` without and with a password file, ours, ours in front."""

import json
import tarfile
from pathlib import Path

import pytest

from tests.images.conftest import Images, Registry
from tests.images.layouts import write_two_platforms
from tests.support.image import make_image, write_layout
from tests.support.peers import running_docker_registry


@pytest.fixture(params=["plain", "guarded", "ours", "fronted"])
def registry(request: pytest.FixtureRequest) -> Registry:
    found: Registry = request.getfixturevalue(request.param)
    return found


def test_image_goes_through_every_command(images: Images, registry: Registry, tmp_path: Path) -> None:
    image = make_image("every command")
    write_layout(image, tmp_path / "layout", "v1")
    name = f"{registry.host}/every/app"
    assert images.must("push", tmp_path / "layout", name) == f"pushed {name}:v1 {image.digest}\n"
    assert images.must("push", tmp_path / "layout", name) == f"already there {name}:v1 {image.digest}\n"

    assert "every/app:v1" in images.list(registry)
    (listed,) = images.objects("list", "--long", "--filter", "every/app:*", registry.host)
    size = len(image.config) + len(image.layer)
    assert listed == {
        "name": "every/app:v1", "repository": "every/app", "tag": "v1", "digest": str(image.digest), "size": size,
        "created": None, "platforms": ["linux/amd64"],
    }  # fmt: skip
    assert images.must("list", "--tree", name) == "every/app\n  v1\n"

    (shown,) = images.objects("inspect", f"{name}:v1")
    assert shown["digest"] == str(image.digest)
    assert shown["variants"][0]["config"] == json.loads(image.config)["config"]
    words = images.must("inspect", f"{name}@{image.digest}")
    assert f"linux/amd64  {image.digest}" in words

    (copied,) = images.objects("copy", f"{name}:v1", f"{registry.host}/every/copy:v2")
    assert (copied["outcome"], copied["digest"], copied["moved_bytes"]) == ("copied", str(image.digest), 0)
    assert images.must("tag", f"{name}:v1", f"{registry.host}/every/tagged:v3").startswith("tagged ")
    assert images.must("tag", f"{name}:v1", f"{name}:v9") == f"tagged {name}:v9 {image.digest}\n"
    assert images.list(registry, "--filter", "every/*") == [
        "every/app:v1", "every/app:v9", "every/copy:v2", "every/tagged:v3",
    ]  # fmt: skip

    images.must("pull", f"{name}:v1", "-o", tmp_path / "pulled.tar")
    with tarfile.open(tmp_path / "pulled.tar") as archive:
        member = archive.extractfile("manifest.json")
        assert member is not None
        assert json.load(member)[0]["RepoTags"] == [f"{name}:v1"]
    images.must("pull", f"{name}:v1", "-o", f"{tmp_path}/folder/")
    assert (tmp_path / "folder/blobs/sha256" / image.digest.hex).read_bytes() == image.manifest

    would = images("delete", "--dry-run", f"{name}:v1")
    assert would.out == f"would delete {name}: v1 ({image.digest}); with it v9\n"
    refused = images("delete", f"{name}:v1")
    assert (
        refused.code,
        "standard input is not a terminal, so nobody can confirm; use --yes or" in " ".join(refused.err.split()),
    ) == (2, True)
    deleted = images.must("delete", "--yes", f"{name}:v1")
    assert deleted == f"deleted {name}:v1 {image.digest}\ndeleted {name}:v9 {image.digest}\n"
    assert images.list(registry, "--filter", "every/*") == ["every/copy:v2", "every/tagged:v3"]
    missing = images("delete", "--yes", f"{name}:v1")
    assert (missing.code, missing.out) == (1, "")
    assert f"authproxy: {name}:v1: the registry has no such image" in missing.err
    unpulled = images("pull", "--json", f"{registry.host}/every/copy:v2", f"{name}:v1", "-o", tmp_path / "none.tar")
    assert (unpulled.code, json.loads(unpulled.out)["outcome"]) == (1, "failed")
    assert unpulled.err.endswith("authproxy: nothing was written\n")
    assert not list(tmp_path.glob("*none*"))


def test_platforms_are_copied_all_or_one(images: Images, registry: Registry, tmp_path: Path) -> None:
    amd, arm, index = write_two_platforms(tmp_path / "layout", "platforms/app:v1")
    images.must("push", tmp_path / "layout", registry.host)
    source = f"{registry.host}/platforms/app:v1"
    (listed,) = images.objects("list", "--long", "--filter", "platforms/app:v1", registry.host)
    assert (listed["digest"], listed["platforms"]) == (str(index), ["linux/amd64", "linux/arm64/v8"])
    (both,) = images.objects("copy", source, f"{registry.host}/platforms/both:v1")
    (one,) = images.objects("copy", "--platform", "linux/arm64", source, f"{registry.host}/platforms/one:v1")
    assert (both["digest"], one["digest"]) == (str(index), str(arm.digest))
    assert images("copy", "--platform", "linux/s390x", source, f"{registry.host}/platforms/none:v1").code == 1
    assert images.list(registry, "--filter", "platforms/*") == [
        "platforms/app:v1", "platforms/both:v1", "platforms/one:v1",
    ]  # fmt: skip
    shown = images.must("inspect", source)
    for image in (amd, arm):
        assert str(image.digest) in shown


def test_old_tags_go_and_what_a_kept_one_shares_stays(images: Images, registry: Registry, tmp_path: Path) -> None:
    place = f"{registry.host}/old/app"
    for day in range(1, 6):
        write_layout(make_image(f"day {day}", created=f"2024-01-0{day}T00:00:00Z"), tmp_path / str(day), f"pr-{day}")
        images.must("push", tmp_path / str(day), place)
    images.must("tag", f"{place}:pr-2", f"{place}:stable")
    tags = [f"old/app:pr-{day}" for day in range(1, 6)] + ["old/app:stable"]
    rules = ("--match", "pr-*", "--keep", "2", "--older-than", "1d", place)
    would = images.objects("delete", "--dry-run", *rules)
    assert [(each["outcome"], each.get("tags")) for each in would] == [
        ("kept", None), ("would be deleted", ["pr-3"]), ("would be deleted", ["pr-1"]),
    ]  # fmt: skip
    assert sorted(images.list(registry, "--filter", "old/*")) == tags
    done = images.objects("delete", "--yes", *rules)
    assert [each["name"] for each in done if each["outcome"] == "deleted"] == [f"{place}:pr-3", f"{place}:pr-1"]
    assert sorted(images.list(registry, "--filter", "old/*")) == [tags[1], *tags[3:]]
    assert "nothing to delete" in images("delete", "--yes", "--match", "pr-*", "--keep", "9", place).err


def test_two_tags_of_one_image_go_together(images: Images, registry: Registry, tmp_path: Path) -> None:
    image = make_image("two tags")
    write_layout(image, tmp_path / "layout", "v1")
    place = f"{registry.host}/two/app"
    images.must("push", tmp_path / "layout", place)
    images.must("tag", f"{place}:v1", f"{place}:v2")
    done = images("delete", "--yes", f"{place}:v1", f"{place}@{image.digest}", f"{place}:v2")
    assert (done.code, done.out) == (0, f"deleted {place}:v1 {image.digest}\ndeleted {place}:v2 {image.digest}\n")
    assert done.err == f"to delete {place}: v1, v2 ({image.digest})\n"


def test_registry_that_deletes_nothing_is_told_as_it_is(images: Images, tmp_path: Path) -> None:
    write_layout(make_image("undeletable"), tmp_path / "layout", "v1")
    with running_docker_registry(tmp_path / "registry", settings={"REGISTRY_STORAGE_DELETE_ENABLED": "false"}) as url:
        name = f"{url.removeprefix('http://')}/kept/app:v1"
        images.must("push", tmp_path / "layout", name)
        done = images("delete", "--yes", "--json", name)
        assert (done.code, json.loads(done.out)["outcome"]) == (1, "failed")
        assert "the registry does not allow deletion" in done.err
        assert images.must("list", name.partition("/")[0]) == "kept/app:v1\n"
