import gzip
import os
from pathlib import Path

import pytest
import zstandard

from authproxy.digest import Digest
from authproxy.images.archive.errors import ArchiveError
from authproxy.images.archive.layers import compress_layer
from authproxy.images.archive.members import FolderMembers, Member

PLAIN = b"layer" * 1_000_000 + os.urandom(1_000_000)
DIFF_ID = Digest.of(PLAIN)


def layer(folder: Path, content: bytes) -> Member:
    (folder / "layer.tar").write_bytes(content)
    member = FolderMembers(folder, folder).find("layer.tar")
    assert member is not None
    return member


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    (tmp_path / "spool").mkdir()
    return tmp_path / "spool"


@pytest.mark.parametrize("pack", [bytes, zstandard.compress], ids=["plain", "zstd"])
def test_a_layer_becomes_gzip_of_its_plain_tar(tmp_path: Path, spool: Path, pack: type[bytes]) -> None:
    compressed = compress_layer(layer(tmp_path, pack(PLAIN)), DIFF_ID, spool)
    content = compressed.file.read(len(PLAIN) * 2)
    assert gzip.decompress(content) == PLAIN
    assert (compressed.digest, compressed.size) == (Digest.of(content), len(content))


def test_packing_twice_gives_the_same_bytes(tmp_path: Path, spool: Path) -> None:
    first = compress_layer(layer(tmp_path, PLAIN), DIFF_ID, spool)
    os.utime(tmp_path / "layer.tar", (1, 1))
    assert compress_layer(layer(tmp_path, PLAIN), DIFF_ID, spool).digest == first.digest
    assert first.file.read(first.size)[4:8] == bytes(4)  # RFC 1952: the time, none


def test_a_layer_that_is_gzip_stays_as_it_is(tmp_path: Path, spool: Path) -> None:
    content = gzip.compress(PLAIN, 1)
    compressed = compress_layer(layer(tmp_path, content), DIFF_ID, spool)
    assert compressed.digest == Digest.of(content)
    assert list(spool.iterdir()) == []


def test_a_sha512_of_the_plain_tar_is_compared_too(tmp_path: Path, spool: Path) -> None:
    assert compress_layer(layer(tmp_path, PLAIN), Digest.of(PLAIN, "sha512"), spool).size > 0


@pytest.mark.parametrize("content", [PLAIN + b"x", gzip.compress(PLAIN + b"x", 1)], ids=["plain", "gzip"])
def test_another_layer_than_the_configuration_names_is_refused(tmp_path: Path, spool: Path, content: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"layer.tar: has the digest .*, but rootfs.diff_ids of its image has"):
        compress_layer(layer(tmp_path, content), DIFF_ID, spool)
    assert list(spool.iterdir()) == []


def test_a_damaged_packed_layer_is_refused(tmp_path: Path, spool: Path) -> None:
    with pytest.raises(ArchiveError, match=r"layer.tar: is compressed, but damaged"):
        compress_layer(layer(tmp_path, gzip.compress(PLAIN, 1)[:-9000]), DIFF_ID, spool)


def test_a_folder_that_takes_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=f"cannot be compressed in {tmp_path / 'missing'}"):
        compress_layer(layer(tmp_path, PLAIN), DIFF_ID, tmp_path / "missing")
