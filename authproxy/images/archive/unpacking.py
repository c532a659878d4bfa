"""Packed archives: what packs them, and their content as a plain file.

A tar is read at random places and a packed one only from its beginning, so it is unpacked first: into a file without a
name in the folder for temporary files (`TMPDIR`), which the system removes with the process. It takes the disk that
the plain archive takes, as long as `Room` allows.
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

# Packed bytes at a time: four may stand for a block of 128 KiB (RFC 8878 §3.1.1.2), so no more than 64 MiB come of it.
ZSTD_STEP_BYTES = 2048


class Readable(Protocol):
    """What unpacks: bytes on demand."""

    def read(self, count: int, /) -> bytes:
        """The next bytes, at most so many; none at the end."""


def open_plain(path: Path) -> BinaryIO:
    """A file, unpacked where it is packed with gzip or zstd. Raises ArchiveError, OSError."""
    file = path.open("rb")
    try:
        magic = os.pread(file.fileno(), MAGIC_BYTES, 0)
        _refuse_others(magic, path)
        packed = unpacker(magic, file)
        if packed is None:
            return file
    except BaseException:
        file.close()
        raise
    with file:
        return _spool(packed, path)


def _refuse_others(magic: bytes, path: Path) -> None:
    for mark, name in OTHERS.items():
        if magic.startswith(mark):
            raise ArchiveError(path, f"is packed with {name}: unpack it first; gzip and zstd are read as they are")


def unpacker(magic: bytes, file: BinaryIO) -> Readable | None:
    """What reads the plain content of a packed file. None where its first bytes are not gzip's or zstd's."""
    if magic.startswith(GZIP):
        return gzip.GzipFile(fileobj=file, mode="rb")
    if magic.startswith(ZSTD):
        return _Zstd(file)
    return None


class _Zstd:
    """The content of zstd frames one after another.

    zstandard's own reader takes a file that was cut off for one that has ended; its decompressor for pieces says
    whether a frame has.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._has_begun = False  # whether any of the frame has come
        self._held = b""  # packed bytes of the next frame

    def read(self, _count: int, /) -> bytes:
        """The next bytes; more than were asked for where they are packed well."""
        while True:
            packed = self._held or self._file.read(ZSTD_STEP_BYTES)
            self._held = b""
            if not packed:
                if self._has_begun:
                    raise EOFError("it ends within a zstd frame")
                return b""
            plain = self._frame.decompress(packed)
            self._has_begun = True
            if self._frame.eof:
                self._held = self._frame.unused_data
                self._frame = zstandard.ZstdDecompressor().decompressobj()
                self._has_begun = False
            if plain:
                return plain


def _spool(packed: Readable, path: Path) -> BinaryIO:
    plain: BinaryIO = tempfile.TemporaryFile(prefix="authproxy-")  # noqa: SIM115 - handed to the caller, open
    free_space = FreeSpace(Path(tempfile.gettempdir()))
    try:
        while piece := packed.read(PIECE_BYTES):
            free_space.take(len(piece))
            plain.write(piece)
        plain.flush()
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
        plain.close()
        raise ArchiveError(path, f"is packed, but damaged: {error}") from error
    except OSError as error:
        plain.close()
        folder = tempfile.gettempdir()
        raise ArchiveError(path, f"cannot be unpacked to {folder}: {error.strerror}; TMPDIR names another") from error
    except BaseException:
        plain.close()
        raise
    return plain
