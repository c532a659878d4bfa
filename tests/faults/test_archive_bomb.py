"""Archives that unpack to far more than they weigh, on a disk that others write to as well."""

import ctypes
import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from authproxy.images.archive.decompression import open_decompressed
from authproxy.images.archive.errors import ArchiveError
from authproxy.images.archive.free_space import FreeSpace

# sys/mount.h
MNT_DETACH = 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", ctypes.c_ulong(0), b"size=64m") != 0:
        raise OSError(ctypes.get_errno(), f"this test mounts a small disk: {os.strerror(ctypes.get_errno())}", folder)
    try:
        yield folder
    finally:
        libc.umount2(os.fsencode(folder), MNT_DETACH)


def zstd_bomb(size: int) -> bytes:
    compressor = zstandard.ZstdCompressor().compressobj()
    pieces = [compressor.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join([*pieces, compressor.flush()])


@pytest.mark.parametrize("pack", [lambda: gzip.compress(bytes(1 << 28), 1), lambda: zstd_bomb(1 << 30)])
def test_bomb_leaves_room_to_others(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[], bytes]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    path = tmp_path / "archive"
    path.write_bytes(pack())
    least_free: list[int] = []
    take = FreeSpace.take

    def watched(space: FreeSpace, count: int) -> None:
        status = os.statvfs(small_disk)
        least_free.append(status.f_bavail * status.f_frsize)
        take(space, count)

    monkeypatch.setattr(FreeSpace, "take", watched)
    with pytest.raises(
        ArchiveError, match="less than 3 MiB of free space would be left; set TMPDIR to use another folder"
    ):
        open_decompressed(path)
    assert min(least_free) > 3 << 20
    after = os.statvfs(small_disk)
    assert after.f_bavail == after.f_blocks


def test_archive_that_fits_is_unpacked_on_a_small_disk(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    path = tmp_path / "archive"
    path.write_bytes(gzip.compress(bytes(40 << 20), 1))
    with open_decompressed(path) as plain:
        assert plain.seek(0, os.SEEK_END) == 40 << 20
