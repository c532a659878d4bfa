import gzip
import json
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import zstandard

from authproxy.digest import Digest
from authproxy.images.archive.archive import Archive
from authproxy.images.archive.errors import ArchiveError
from authproxy.images.archive.opening import open_archive
from authproxy.images.archive.output import ArchiveFormat, Target, parse_target
from authproxy.images.archive.staging import Staging, open_staging
from authproxy.images.archive.writing import write_archive
from authproxy.oci.manifest import Descriptor, Manifest
from tests.unit.images.archive.saves import (
    IMAGE_TYPE,
    INDEX_TYPE,
    as_json,
    config_of,
    descriptor,
    image_manifest,
)

PLAIN = b"layer" * 100_000
LAYER = gzip.compress(PLAIN, 1, mtime=0)
ZSTD_LAYER = zstandard.compress(PLAIN)
CONFIG = config_of(PLAIN)
IMAGE = image_manifest(CONFIG, LAYER)
INDEX = as_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [descriptor(IMAGE, IMAGE_TYPE)]})
NAME = "host:5000/team/app:v1"


async def chunks_of(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1000):
        yield content[start : start + 1000]


async def put(stage: Staging, name: str | None, manifest: bytes, *contents: bytes) -> None:
    for content in contents:
        await stage.put_blob(Descriptor("x", Digest.of(content), len(content)), chunks_of(content))
    await stage.put_manifest(Manifest.read(manifest), name)


async def written(target: Target, *names: str, layer: bytes = LAYER) -> None:
    with open_staging(target) as stage:
        for name in names:
            await put(stage, name, image_manifest(CONFIG, layer), layer, CONFIG)
        write_archive(stage, target)


async def content_of(archive: Archive) -> list[tuple[tuple[str, ...], list[bytes]]]:
    found = []
    for image in archive.images:
        manifest = await archive.manifest(image.reference)
        blobs = [b"".join([piece async for piece in archive.blob(blob)]) for blob in manifest.blobs]
        found.append((image.names, blobs))
    return found


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


TARGETS = [
    ("docker", "x.tar", [gzip.compress(PLAIN, 6, mtime=0), CONFIG]),
    ("docker, gzip", "x.tgz", [gzip.compress(PLAIN, 6, mtime=0), CONFIG]),
    ("layout", "x.oci.tar", [LAYER, CONFIG]),
    ("layout, zstd", "x.oci.zst", [LAYER, CONFIG]),
    ("layout in a folder", "x/", [LAYER, CONFIG]),
]


@pytest.mark.parametrize(("name", "blobs"), [row[1:] for row in TARGETS], ids=[row[0] for row in TARGETS])
async def test_what_was_written_is_read_again(tmp_path: Path, name: str, blobs: list[bytes]) -> None:
    await written(parse_target(f"{tmp_path}/{name}", None, is_folder=False), NAME, "app:v2")
    with open_archive(tmp_path / name) as archive:
        ((names, contents),) = await content_of(archive)
    assert names == (NAME, "app:v2")
    # gzip's header differs in the mark of the system that wrote it, and so do equal layers' digests.
    plain = [gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content for content in contents]
    assert plain == [gzip.decompress(blobs[0]), CONFIG]
    assert listed(tmp_path) == [name.rstrip("/")]


@pytest.mark.parametrize("layer", [PLAIN, LAYER, ZSTD_LAYER], ids=["plain", "gzip", "zstd"])
async def test_layers_for_docker_are_plain_and_written_once(tmp_path: Path, layer: bytes) -> None:
    await written(parse_target(f"{tmp_path}/x.tar", None, is_folder=False), NAME, "app:v2", "app@sha256:x", layer=layer)
    with tarfile.open(tmp_path / "x.tar") as archive:
        assert sorted(archive.getnames()) == sorted(
            [f"{Digest.of(PLAIN).hex}.tar", f"{Digest.of(CONFIG).hex}.json", "manifest.json"]
        )
        found = archive.extractfile(f"{Digest.of(PLAIN).hex}.tar")
        assert found is not None
        assert found.read() == PLAIN
        images = archive.extractfile("manifest.json")
        assert images is not None
        (entry,) = json.load(images)
    assert entry["RepoTags"] == [NAME, "app:v2"]


async def test_the_same_images_give_the_same_file(tmp_path: Path) -> None:
    for name in ("a.tar", "b.tar", "a.oci.tgz", "b.oci.tgz"):
        await written(parse_target(f"{tmp_path}/{name}", None, is_folder=False), NAME)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert (tmp_path / "a.oci.tgz").read_bytes() == (tmp_path / "b.oci.tgz").read_bytes()


async def test_an_index_is_kept_in_a_layout_and_refused_for_docker(tmp_path: Path) -> None:
    for name in ("x.oci.tar", "x.tar"):
        target = parse_target(f"{tmp_path}/{name}", None, is_folder=False)
        with open_staging(target) as stage:
            await put(stage, None, IMAGE, LAYER, CONFIG)
            await put(stage, NAME, INDEX)
            if target.form is ArchiveFormat.DOCKER:
                with pytest.raises(ArchiveError, match=f"{NAME} is an index of several platforms"):
                    write_archive(stage, target)
            else:
                write_archive(stage, target)
    with open_archive(tmp_path / "x.oci.tar") as archive:
        assert (await archive.manifest(archive.images[0].reference)).content == INDEX
    assert not (tmp_path / "x.tar").exists()


async def test_an_artifact_is_refused_for_docker(tmp_path: Path) -> None:
    target = parse_target(f"{tmp_path}/x.tar", None, is_folder=False)
    artifact = json.loads(IMAGE)
    artifact["config"]["mediaType"] = "application/vnd.oci.empty.v1+json"
    with open_staging(target) as stage:
        await put(stage, NAME, as_json(artifact), LAYER, CONFIG)
        with pytest.raises(ArchiveError, match="is an artifact"):
            write_archive(stage, target)


async def test_a_layer_that_is_another_than_the_configuration_says_is_refused(tmp_path: Path) -> None:
    target = parse_target(f"{tmp_path}/x.tar", None, is_folder=False)
    with open_staging(target) as stage:
        await put(stage, NAME, image_manifest(CONFIG, b"other"), b"other", CONFIG)
        with pytest.raises(ArchiveError, match=r"rootfs\.diff_ids of its image has"):
            write_archive(stage, target)
    assert listed(tmp_path) == []


async def test_a_file_that_was_there_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"before")
    target = parse_target(f"{tmp_path}/x.tar", None, is_folder=False)
    with pytest.raises(KeyboardInterrupt), open_staging(target):
        raise KeyboardInterrupt
    assert listed(tmp_path) == ["x.tar"]
    assert (tmp_path / "x.tar").read_bytes() == b"before"
    await written(target, NAME)
    assert tarfile.is_tarfile(tmp_path / "x.tar")


async def test_a_blob_that_breaks_off_is_not_kept(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with open_staging(parse_target(f"{tmp_path}/x.tar", None, is_folder=False)) as stage:
        blob = Descriptor("x", Digest.of(LAYER), len(LAYER))
        with pytest.raises(ConnectionResetError):
            await stage.put_blob(blob, broken())
        assert not await stage.has(blob)
        assert listed(stage.folder) == []
        await stage.put_blob(blob, chunks_of(LAYER))
        assert await stage.has(blob)


async def test_standard_output_takes_an_archive(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    await written(parse_target("-", None, is_folder=False), NAME)
    (tmp_path / "x.tar").write_bytes(capfdbinary.readouterr().out)
    with open_archive(tmp_path / "x.tar") as archive:
        assert archive.images[0].names == (NAME,)


async def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes").write_bytes(b"mine")
    with pytest.raises(ArchiveError, match="is a folder that is not empty"):
        await written(parse_target(str(tmp_path), None, is_folder=True), NAME)
    with pytest.raises(ArchiveError, match="is a file, but the output is a folder"):
        await written(parse_target(f"{tmp_path}/notes/", None, is_folder=False), NAME)
    assert listed(tmp_path) == ["notes"]


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=f"cannot be written in {tmp_path}/missing: No such file"):
        await written(parse_target(f"{tmp_path}/missing/x.tar", None, is_folder=False), NAME)


NAMES = [
    ("x.tar", None, Target(Path("x.tar"), ArchiveFormat.DOCKER)),
    ("x.tar.gz", None, Target(Path("x.tar.gz"), ArchiveFormat.DOCKER, "gzip")),
    ("x.TGZ", None, Target(Path("x.TGZ"), ArchiveFormat.DOCKER, "gzip")),
    ("x.oci.tar.zst", None, Target(Path("x.oci.tar.zst"), ArchiveFormat.OCI, "zstd")),
    ("x.oci", None, Target(Path("x.oci"), ArchiveFormat.OCI)),
    ("x.tar", ArchiveFormat.OCI, Target(Path("x.tar"), ArchiveFormat.OCI)),
    ("x.bin", ArchiveFormat.OCI, Target(Path("x.bin"), ArchiveFormat.OCI)),
    ("x/", None, Target(Path("x"), ArchiveFormat.OCI, is_folder=True)),
    ("-", None, Target(None, ArchiveFormat.DOCKER)),
    ("-", ArchiveFormat.OCI, Target(None, ArchiveFormat.OCI)),
]


@pytest.mark.parametrize(("text", "form", "target"), NAMES)
def test_name_says_the_form(text: str, form: ArchiveFormat | None, target: Target) -> None:
    assert parse_target(text, form, is_folder=False) == target


@pytest.mark.parametrize(
    ("text", "form", "words"),
    [("x", None, "the name has no known ending"), ("x/", ArchiveFormat.DOCKER, r"is a file: use x\.tar")],
    ids=["no ending", "a folder for docker"],
)
def test_name_that_says_no_form_is_refused(text: str, form: ArchiveFormat | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_target(text, form, is_folder=False)
