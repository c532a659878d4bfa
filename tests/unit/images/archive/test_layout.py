import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from authproxy.digest import Digest
from authproxy.images.archive.archive import Archive
from authproxy.images.archive.errors import ArchiveError
from authproxy.images.archive.layout import LayoutArchive
from authproxy.images.archive.opening import find_archives, open_archive
from authproxy.images.endpoints import Missing
from authproxy.oci.manifest import Descriptor
from tests.unit.images.archive.saves import (
    GZIP_TYPE,
    IMAGE_TYPE,
    INDEX_TYPE,
    PLAIN_TYPE,
    REF_NAME,
    Files,
    Link,
    as_json,
    blobs,
    config_of,
    descriptor,
    docker_save,
    image_manifest,
    layout,
    write_folder,
    write_tar,
)

PLAIN = b"layer" * 1000
LAYER = gzip.compress(PLAIN, 1, mtime=0)
CONFIG = config_of(PLAIN)
IMAGE = image_manifest(CONFIG, LAYER)
FILES = blobs(LAYER, CONFIG, IMAGE)
INDEX = as_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [descriptor(IMAGE, IMAGE_TYPE)]})


def entry(name: str, content: bytes = IMAGE, media_type: str = IMAGE_TYPE) -> dict[str, object]:
    return descriptor(content, media_type, annotations={REF_NAME: name} if name else {})


@pytest.mark.parametrize("write", [write_tar, write_folder], ids=["tar", "folder"])
@pytest.mark.parametrize("before", ["", "./"], ids=["plain names", "names with a dot"])
async def test_an_image_comes_as_it_lies_there(
    tmp_path: Path, write: Callable[[Path, Files], Path], before: str
) -> None:
    files = {before + name: content for name, content in layout(entry("v1"), files=FILES).items()}
    with open_archive(write(tmp_path / "x", files)) as archive:
        (image,) = archive.images
        assert (image.names, image.tags, image.identity) == ((), ("v1",), Digest.of(IMAGE))
        manifest = await archive.manifest(image.reference)
        assert manifest.content == IMAGE
        assert b"".join([piece async for piece in archive.blob(manifest.layers[0], 3)]) == LAYER[3:]


async def test_names_of_one_image_are_gathered(tmp_path: Path) -> None:
    both = entry("v3") | {"annotations": {REF_NAME: "v3", "io.containerd.image.name": "docker.io/library/app:v3"}}
    entries = [entry("v1"), entry("localhost/app:v2"), both, entry(""), entry("v1")]
    with open_archive(write_tar(tmp_path / "x.tar", layout(*entries, files=FILES))) as archive:
        (image,) = archive.images
    assert image.names == ("localhost/app:v2", "docker.io/library/app:v3")
    assert image.tags == ("v1",)


async def test_an_index_brings_its_children(tmp_path: Path) -> None:
    files = layout(entry("v1", INDEX, INDEX_TYPE), files=FILES | blobs(INDEX))
    with open_archive(write_tar(tmp_path / "x.tar", files)) as archive:
        manifest = await archive.manifest(archive.images[0].reference)
        assert [child.digest for child in manifest.children] == [Digest.of(IMAGE)]
        assert (await archive.manifest(manifest.children[0].digest)).content == IMAGE
        with pytest.raises(Missing, match="there is no manifest sha256:"):
            await archive.manifest(Digest.of(b"other"))


SCHEMA_1 = as_json({"schemaVersion": 1})
IMAGE_FILE, LAYER_FILE = (f"blobs/sha256/{Digest.of(content).hex}" for content in (IMAGE, LAYER))

DAMAGED: list[tuple[str, Files, str]] = [
    ("a manifest of schema 1", {"index.json": as_json({"manifests": [entry("", SCHEMA_1)]})}, "Docker's schema 1"),
    ("another manifest", {IMAGE_FILE: b"{}"}, f"{IMAGE_FILE}: has the digest"),
    ("a layer cut off", {LAYER_FILE: LAYER[:-1]}, f"{LAYER_FILE}: has {len(LAYER) - 1} bytes, but the manifest says"),
    ("no layer", {LAYER_FILE: Link("nothing")}, f"{LAYER_FILE}: is missing, but a manifest requires it"),
    ("an index that is none", {"index.json": b"[]"}, "index.json: has no list of manifests"),
    (
        "an entry that is none",
        {"index.json": b'{"manifests": [1]}'},
        r"index.json: cannot be read: manifests\[0\] is no",
    ),
    ("a version of tomorrow", {"oci-layout": b'{"imageLayoutVersion": "2.0"}'}, "oci-layout: has version '2.0'"),
]


async def read_all(archive: Archive) -> None:
    manifest = await archive.manifest(archive.images[0].reference)
    for blob in manifest.blobs:
        async for _ in archive.blob(blob):
            pass


@pytest.mark.parametrize(("changes", "words"), [row[1:] for row in DAMAGED], ids=[row[0] for row in DAMAGED])
async def test_damage_is_told_with_file_and_member(tmp_path: Path, changes: Files, words: str) -> None:
    path = write_tar(tmp_path / "x.tar", layout(entry("v1"), files=FILES | blobs(SCHEMA_1)) | dict(changes))
    with pytest.raises(ArchiveError, match=words) as raised, open_archive(path) as archive:
        await read_all(archive)
    assert str(path) in str(raised.value)


PLAIN_IMAGE = image_manifest(CONFIG, PLAIN, layer_type=PLAIN_TYPE)
LISTS_MORE = as_json(
    {"schemaVersion": 2, "manifests": [descriptor(IMAGE, IMAGE_TYPE), descriptor(b"not pulled", IMAGE_TYPE)]}
)

# Of an archive that has both lists, which is taken.
BOTH = [
    ("packed and whole: the layout", layout(entry("v1"), files=FILES), GZIP_TYPE),
    (
        "plain layers: packed as docker push packs them",
        layout(entry("v1", PLAIN_IMAGE), files=blobs(PLAIN, CONFIG, PLAIN_IMAGE)),
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    ),
    (
        "a platform that was never pulled: what is there",
        layout(entry("v1", LISTS_MORE, INDEX_TYPE), files=FILES | blobs(LISTS_MORE)),
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    ),
]


@pytest.mark.parametrize(("files", "layer_type"), [row[1:] for row in BOTH], ids=[row[0] for row in BOTH])
async def test_of_two_lists_the_better_is_taken(tmp_path: Path, files: dict[str, bytes], layer_type: str) -> None:
    path = write_tar(tmp_path / "x.tar", docker_save(PLAIN, names=["app:v1"]) | files)
    with open_archive(path) as archive:
        manifest = await archive.manifest(archive.images[0].reference)
    assert [layer.media_type for layer in manifest.layers] == [layer_type]


async def test_a_layout_with_plain_layers_alone_stays_as_it_is(tmp_path: Path) -> None:
    files = layout(entry("v1", PLAIN_IMAGE), files=blobs(PLAIN, CONFIG, PLAIN_IMAGE))
    with open_archive(write_tar(tmp_path / "x.tar", files)) as archive:
        assert (await archive.manifest(archive.images[0].reference)).content == PLAIN_IMAGE


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"neither docker save's manifest\.json"), open_archive(tmp_path):
        pass
    with (
        pytest.raises(ArchiveError, match="cannot be read: No such file or directory"),
        open_archive(tmp_path / "missing.tar"),
    ):
        pass


async def test_a_blob_that_is_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "blobs" / "sha256" / Digest.of(b"x").hex).mkdir(parents=True)
    write_folder(tmp_path, layout(files={}))
    with open_archive(tmp_path) as archive, pytest.raises(ArchiveError, match="is not a regular file"):
        archive.blob(Descriptor("x", Digest.of(b"x"), 1))


def test_archives_of_a_folder_are_found_by_their_names(tmp_path: Path) -> None:
    for name in ("b.tar", "a.tar.gz", "c.TGZ", "d.tzst", "readme.txt"):
        (tmp_path / name).write_bytes(b"")
    write_folder(tmp_path / "layout", layout(files={}))
    (tmp_path / "other").mkdir()
    assert [path.name for path in find_archives(tmp_path)] == ["a.tar.gz", "b.tar", "c.TGZ", "d.tzst", "layout"]
    assert find_archives(tmp_path / "layout") == (tmp_path / "layout",)
    assert find_archives(tmp_path / "readme.txt") == (tmp_path / "readme.txt",)
    with pytest.raises(ArchiveError, match="contains no archives"):
        find_archives(tmp_path / "other")


SBOM = b'{"bomFormat":"CycloneDX"}'
EMPTY = b"{}"


def referrer_of(subject: bytes) -> bytes:
    return as_json(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE_TYPE,
            "artifactType": "application/vnd.cyclonedx+json",
            "config": descriptor(EMPTY, "application/vnd.oci.empty.v1+json"),
            "layers": [descriptor(SBOM, "application/vnd.cyclonedx+json")],
            "subject": descriptor(subject, IMAGE_TYPE),
        }
    )


async def test_a_referrer_belongs_to_its_image_and_is_none_itself(tmp_path: Path) -> None:
    sbom = referrer_of(IMAGE)
    signature = referrer_of(sbom)
    entries = [entry("v1"), entry("", signature), entry("", sbom)]
    files = FILES | blobs(sbom, signature, EMPTY, SBOM)
    with open_archive(write_tar(tmp_path / "x", layout(*entries, files=files))) as archive:
        assert isinstance(archive, LayoutArchive)
        assert [image.identity for image in archive.images] == [Digest.of(IMAGE)]
        assert archive.has_referrers
        assert [one.digest for one in await archive.referrers(Digest.of(IMAGE))] == [Digest.of(sbom)]
        assert [one.digest for one in await archive.referrers(Digest.of(sbom))] == [Digest.of(signature)]
        assert await archive.referrers(Digest.of(signature)) == ()


@pytest.mark.parametrize(
    ("name", "subject"),
    [("sbom", IMAGE), ("", b"a manifest that is elsewhere")],
    ids=["one with a name", "one whose image is not there"],
)
async def test_a_manifest_with_a_subject_can_be_pushed_by_itself(tmp_path: Path, name: str, subject: bytes) -> None:
    manifest = referrer_of(subject)
    entries = [entry("v1"), entry(name, manifest)]
    with open_archive(write_tar(tmp_path / "x", layout(*entries, files=FILES | blobs(manifest)))) as archive:
        assert isinstance(archive, LayoutArchive)
        assert [image.identity for image in archive.images] == [Digest.of(IMAGE), Digest.of(manifest)]
        assert not archive.has_referrers


async def test_an_entry_whose_manifest_is_missing_is_an_image_that_fails_later(tmp_path: Path) -> None:
    with open_archive(write_tar(tmp_path / "x", layout(entry("v1"), entry("", b"not there"), files=FILES))) as archive:
        assert len(archive.images) == 2
