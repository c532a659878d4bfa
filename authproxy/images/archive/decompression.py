"""Compressed archives: recognises gzip and zstd, and decompresses to a plain file.

A tar is read at random offsets, a compressed one only from its beginning. So it is decompressed first, into an unnamed
file in the folder for temporary files (`TMPDIR`), which the system removes with the process. That file is as large as
the plain archive, bounded by `FreeSpace`.
"""

import gzip
import os
import tempfile
import zlib
from pathlib import Path
from typing import BinaryIO, Protocol

import zstandard

from authproxy.images.archive.errors import ArchiveError
from authproxy.images.archive.free_space import FreeSpace
from authproxy.images.archive.members import PIECE_BYTES

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"PK\x03\x04": "zip"}
MAGIC_BYTES = 6

# Compressed bytes per step: four can encode a block of 128 KiB (RFC 8878 §3.1.1.2), so a step yields at most 64 MiB.
ZSTD_STEP_BYTES = 2048


class Readable(Protocol):
    """A decompressing reader."""

    def read(self, count: int, /) -> bytes:
        """The next bytes, at most `count`; empty at the end."""


def open_decompressed(path: Path) -> BinaryIO:
    """Open a file, decompressed if it is gzip or zstd. Raises ArchiveError, OSError."""
    file = path.open("rb")
    try:
        magic = os.pread(file.fileno(), MAGIC_BYTES, 0)
        _refuse_others(magic, path)
        compressed = decompressor(magic, file)
        if compressed is None:
            return file
    except BaseException:
        file.close()
        raise
    with file:
        return _spool(compressed, path)


def _refuse_others(magic: bytes, path: Path) -> None:
    for mark, name in OTHERS.items():
        if magic.startswith(mark):
            raise ArchiveError(path, f"is compressed with {name}: decompress it first; only gzip and zstd can be read")


def decompressor(magic: bytes, file: BinaryIO) -> Readable | None:
    """A reader of a compressed file's plain content; None if `magic`, its first bytes, is neither gzip's nor zstd's."""
    if magic.startswith(GZIP):
        return gzip.GzipFile(fileobj=file, mode="rb")
    if magic.startswith(ZSTD):
        return _Zstd(file)
    return None


class _Zstd:
    """The content of consecutive zstd frames.

    zstandard's own reader mistakes a truncated file for a complete one; its decompressor for pieces reports whether a
    frame is complete.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._has_begun = False  # whether any of the frame has been read
        self._held = b""  # compressed bytes of the next frame

    def read(self, _count: int, /) -> bytes:
        """The next bytes; may be more than `_count` if they are highly compressed."""
        while True:
            compressed = self._held or self._file.read(ZSTD_STEP_BYTES)
            self._held = b""
            if not compressed:
                if self._has_begun:
                    raise EOFError("it ends within a zstd frame")
                return b""
            plain = self._frame.decompress(compressed)
            self._has_begun = True
            if self._frame.eof:
                self._held = self._frame.unused_data
                self._frame = zstandard.ZstdDecompressor().decompressobj()
                self._has_begun = False
            if plain:
                return plain


def _spool(compressed: Readable, path: Path) -> BinaryIO:
    plain: BinaryIO = tempfile.TemporaryFile(prefix="authproxy-")  # noqa: SIM115 - handed to the caller, open
    free_space = FreeSpace(Path(tempfile.gettempdir()))
    try:
        while piece := compressed.read(PIECE_BYTES):
            free_space.take(len(piece))
            plain.write(piece)
        plain.flush()
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
        plain.close()
        raise ArchiveError(path, f"is compressed, but damaged: {error}") from error
    except OSError as error:
        plain.close()
        folder = tempfile.gettempdir()
        sentence = f"cannot be decompressed to {folder}: {error.strerror}; set TMPDIR to use another folder"
        raise ArchiveError(path, sentence) from error
    except BaseException:
        plain.close()
        raise
    return plain
