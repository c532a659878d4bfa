import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from authproxy.digest import Digest
from authproxy.images.archive.archive import Archive
from authproxy.images.archive.errors import ArchiveError
from authproxy.images.archive.opening import open_archive
from authproxy.images.endpoints import Missing
from authproxy.oci.manifest import Descriptor, Manifest
from tests.unit.images.archive.saves import Files, Link, as_json, config_of, docker_save, write_folder, write_tar

ONE, TWO = b"one" * 100_000, b"two" * 100_000


async def read(archive: Archive, blob: Descriptor, start: int = 0) -> bytes:
    return b"".join([piece async for piece in archive.blob(blob, start)])


async def only_manifest(archive: Archive) -> Manifest:
    (image,) = archive.images
    return await archive.manifest(image.reference)


@pytest.mark.parametrize("write", [write_tar, write_folder], ids=["tar", "extracted"])
async def test_a_manifest_is_made_with_layers_that_a_registry_takes(
    tmp_path: Path, write: Callable[[Path, Files], Path]
) -> None:
    path = write(tmp_path / "x", docker_save(ONE, TWO, names=["app:v1", "app:v1", "other:v2"]))
    with open_archive(path) as archive:
        assert [image.names for image in archive.images] == [("app:v1", "other:v2")]
        assert archive.images[0].identity == Digest.of(config_of(ONE, TWO))
        manifest = await only_manifest(archive)
        assert manifest.media_type == "application/vnd.docker.distribution.manifest.v2+json"
        assert manifest.config is not None
        assert await read(archive, manifest.config) == config_of(ONE, TWO)
        contents = [await read(archive, layer) for layer in manifest.layers]
        assert [gzip.decompress(content) for content in contents] == [ONE, TWO]
        assert [(Digest.of(content), len(content)) for content in contents] == [
            (layer.digest, layer.size) for layer in manifest.layers
        ]
        assert await read(archive, manifest.layers[1], start=5) == contents[1][5:]


async def test_the_same_image_gets_the_same_manifest_again(tmp_path: Path) -> None:
    digests = set()
    for name in ("first.tar", "second.tar"):
        with open_archive(write_tar(tmp_path / name, docker_save(ONE, TWO, names=None))) as archive:
            digests.add((await only_manifest(archive)).digest)
    assert len(digests) == 1


async def test_a_layer_that_comes_twice_is_named_twice_and_packed_once(tmp_path: Path) -> None:
    with open_archive(write_tar(tmp_path / "x.tar", docker_save(ONE, ONE, names=None))) as archive:
        manifest = await only_manifest(archive)
    assert len(manifest.layers) == 2
    assert len(set(manifest.layers)) == 1


async def test_a_layer_that_another_archive_had_is_packed_only_when_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: dict[Digest, Descriptor] = {}
    path = write_tar(tmp_path / "x.tar", docker_save(ONE, names=None))
    with open_archive(path, known) as archive:
        first = await only_manifest(archive)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with open_archive(path, known) as archive:
        assert (await only_manifest(archive)).digest == first.digest
        assert [file for file in temporary.rglob("*") if file.is_file()] == []
        assert gzip.decompress(await read(archive, first.layers[0])) == ONE
    assert list(temporary.iterdir()) == []


async def test_entries_of_one_image_are_one_image(tmp_path: Path) -> None:
    files = docker_save(ONE, names=["a:1"])
    content = files["manifest.json"]
    assert isinstance(content, bytes)
    (entry,) = json.loads(content)
    files["manifest.json"] = as_json([entry, entry | {"RepoTags": ["b:2"]}])
    with open_archive(write_tar(tmp_path / "x.tar", files)) as archive:
        assert [image.names for image in archive.images] == [("a:1", "b:2")]


async def test_an_image_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with open_archive(write_tar(tmp_path / "x.tar", docker_save(ONE, names=None))) as archive:
        with pytest.raises(Missing, match=r"no image has the configuration other\.json"):
            await archive.manifest("other.json")
        with pytest.raises(Missing, match="none of its manifests names"):
            await read(archive, Descriptor("x", Digest.of(b"x"), 1))


CONFIG_NAME = f"{Digest.of(config_of(ONE)).hex}.json"
LAYER_NAME = f"{Digest.of(b'0').hex}/layer.tar"

DAMAGED: list[tuple[str, dict[str, bytes | Link | None], str]] = [
    ("no configuration", {CONFIG_NAME: None}, f"{CONFIG_NAME}: is missing, but manifest.json requires it"),
    ("another configuration", {CONFIG_NAME: config_of(TWO)}, f"{CONFIG_NAME}: has the digest"),
    ("no layer", {LAYER_NAME: None}, f"{LAYER_NAME}: is missing"),
    ("another layer", {LAYER_NAME: TWO}, f"{LAYER_NAME}: has the digest"),
    ("a layer that is a link to itself", {LAYER_NAME: Link("layer.tar")}, "or a loop"),
    ("a list that is none", {"manifest.json": b"{}"}, "manifest.json: is not a list of images"),
    ("a list that is no JSON", {"manifest.json": b"["}, "manifest.json: is not JSON"),
    ("a list that is nested without end", {"manifest.json": b"[" * 100_000}, "manifest.json: is not JSON"),
    ("an entry that is none", {"manifest.json": b"[1]"}, "entry 1 is not an image"),
    ("an entry without a configuration", {"manifest.json": b"[{}]"}, "entry 1 does not have Config"),
    (
        "a name that climbs",
        {"manifest.json": as_json([{"Config": "../../etc/passwd", "RepoTags": [], "Layers": []}])},
        r"contains '\.\.', which",
    ),
    (
        "fewer layers than the configuration has",
        {"manifest.json": as_json([{"Config": CONFIG_NAME, "RepoTags": [], "Layers": []}])},
        "has 1 layers in rootfs.diff_ids, but manifest.json has 0",
    ),
    (
        "a configuration of something else",
        {"manifest.json": as_json([{"Config": "c", "RepoTags": [], "Layers": []}]), "c": b'{"rootfs": 1}'},
        "c: has no list rootfs.diff_ids",
    ),
]


@pytest.mark.parametrize(("changes", "words"), [row[1:] for row in DAMAGED], ids=[row[0] for row in DAMAGED])
async def test_damage_is_told_with_file_and_member(
    tmp_path: Path, changes: dict[str, bytes | Link | None], words: str
) -> None:
    files = docker_save(ONE, names=["app:v1"]) | changes
    path = write_tar(tmp_path / "x.tar", {name: content for name, content in files.items() if content is not None})
    with pytest.raises(ArchiveError, match=words) as raised, open_archive(path) as archive:
        await only_manifest(archive)
    assert str(path) in str(raised.value)
