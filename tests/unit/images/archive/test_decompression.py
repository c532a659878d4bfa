import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from authproxy.images.archive.decompression import open_decompressed
from authproxy.images.archive.errors import ArchiveError

CONTENT = os.urandom(3_000_000)


def two_parts(pack: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda content: pack(content[:1000]) + pack(content[1000:])


PACKED: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("plain", bytes),
    ("gzip", lambda content: gzip.compress(content, 1)),
    ("gzip in two parts", two_parts(lambda content: gzip.compress(content, 1))),
    ("zstd", zstandard.compress),
    ("zstd in two frames", two_parts(zstandard.compress)),
]


@pytest.mark.parametrize("pack", [row[1] for row in PACKED], ids=[row[0] for row in PACKED])
def test_content_is_had_however_it_is_packed(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "archive"
    path.write_bytes(pack(CONTENT))
    with open_decompressed(path) as file:
        assert os.pread(file.fileno(), len(CONTENT) + 1, 0) == CONTENT


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_a_packed_archive_that_was_cut_off_is_refused(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "archive"
    path.write_bytes(pack(CONTENT)[:-5000])
    with pytest.raises(ArchiveError, match="is compressed, but damaged"):
        open_decompressed(path)


@pytest.mark.parametrize(("pack", "name"), [(bz2.compress, "bzip2"), (lzma.compress, "xz")], ids=["bzip2", "xz"])
def test_other_packing_is_named(tmp_path: Path, pack: Callable[[bytes], bytes], name: str) -> None:
    path = tmp_path / "archive"
    path.write_bytes(pack(b"content"))
    with pytest.raises(ArchiveError, match=f"is compressed with {name}: decompress it first"):
        open_decompressed(path)


def test_nothing_is_left_where_it_was_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    path = tmp_path / "archive"
    path.write_bytes(gzip.compress(CONTENT, 1))
    with open_decompressed(path):
        assert list((tmp_path / "temporary").iterdir()) == []


def test_a_full_disk_is_told_with_the_way_around_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "archive"
    path.write_bytes(gzip.compress(CONTENT, 1))
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: open("/dev/full", "wb"))  # noqa: PTH123, SIM115 - a device
    with pytest.raises(ArchiveError, match="No space left on device; set TMPDIR to use another folder"):
        open_decompressed(path)
