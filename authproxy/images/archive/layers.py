"""Layers of images: reads the plain tar of a layer, and compresses plain tars for a registry.

Compression always gives the same bytes, so a second push finds its blobs in the registry: the gzip header has neither
a time nor a file name.
"""

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import zstandard

from authproxy.digest import Digest, new_hasher
from authproxy.images.archive.decompression import GZIP, MAGIC_BYTES, decompressor
from authproxy.images.archive.errors import ArchiveError
from authproxy.images.archive.free_space import FreeSpace
from authproxy.images.archive.members import PIECE_BYTES, Member

# The default of gzip and docker: one push takes longer, every later pull and the storage gain.
LEVEL = 6
GZIP_FORMAT = 16 + zlib.MAX_WBITS  # zlib writes gzip's header itself: without a time, a name or a comment


class PlainLayer:
    """The plain tar of a layer that is a member of an archive, plain or compressed. For a thread."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.magic = member.head(MAGIC_BYTES)

    def pieces(self) -> Iterator[bytes]:
        """The plain tar's bytes. Raises ArchiveError if the compressed data is damaged."""
        source = decompressor(
            self.magic, cast("io.BufferedReader", io.BufferedReader(_MemberReader(self.member), PIECE_BYTES))
        )
        if source is None:
            yield from self.member.pieces()
            return
        try:
            while piece := source.read(PIECE_BYTES):
                yield piece
        except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
            raise self.member.fault(f"is compressed, but damaged: {error}") from error

    def verified(self, diff_id: Digest) -> Iterator[bytes]:
        """The same bytes. After the last, raises ArchiveError if their digest is not `diff_id`, the configuration's."""
        hasher = new_hasher(diff_id.algorithm)
        for piece in self.pieces():
            hasher.update(piece)
            yield piece
        actual = Digest(diff_id.algorithm, hasher.hexdigest())
        if actual != diff_id:
            raise self.member.fault(f"has the digest {actual}, but rootfs.diff_ids of its image has {diff_id}")


class _MemberReader(io.RawIOBase):
    """A member's bytes as a file that is read once, from start to end."""

    def __init__(self, member: Member) -> None:
        super().__init__()
        self._pieces = member.pieces()
        self._held = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # BufferedReader always hands in this
        if not self._held:
            self._held = memoryview(next(self._pieces, b""))
        count = min(len(buffer), len(self._held))
        buffer[:count] = self._held[:count]
        self._held = self._held[count:]
        return count


@dataclass(frozen=True, slots=True)
class CompressedLayer:
    """A compressed layer in a file of ours, or the member itself if it is gzip already."""

    digest: Digest
    size: int
    file: Member


def is_gzip(member: Member) -> bool:
    """Whether a layer is gzip already, and can be pushed unchanged."""
    return PlainLayer(member).magic.startswith(GZIP)


def compress_layer(member: Member, diff_id: Digest, folder: Path) -> CompressedLayer:
    """Compress a layer into a new file of `folder`, named after its digest. A layer that is gzip already is only read.

    Raises ArchiveError if the plain tar's digest is not `diff_id`, or the disk is full. For a thread.
    """
    plain = PlainLayer(member)
    if plain.magic.startswith(GZIP):
        for _ in plain.verified(diff_id):
            pass
        hasher = hashlib.sha256()
        for piece in member.pieces():
            hasher.update(piece)
        return CompressedLayer(Digest("sha256", hasher.hexdigest()), member.size, member)
    return _compress(plain, diff_id, folder)


def _compress(plain: PlainLayer, diff_id: Digest, folder: Path) -> CompressedLayer:
    unnamed = folder / f"compressing-{os.urandom(8).hex()}"
    hasher = hashlib.sha256()
    size = 0
    free_space = FreeSpace(folder)
    try:
        with unnamed.open("xb") as file:
            for piece in _gzip(plain.verified(diff_id)):
                hasher.update(piece)
                free_space.take(len(piece))
                size += file.write(piece)
        digest = Digest("sha256", hasher.hexdigest())
        compressed = unnamed.rename(folder / digest.hex)
    except OSError as error:
        unnamed.unlink(missing_ok=True)
        raise ArchiveError(
            plain.member.archive,
            f"its layers cannot be compressed in {folder}: {error.strerror}; set TMPDIR to use another folder",
        ) from error
    except ArchiveError:
        unnamed.unlink(missing_ok=True)
        raise
    return CompressedLayer(digest, size, _own_file(plain.member.archive, compressed, size))


def _gzip(pieces: Iterator[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP_FORMAT)
    held: list[bytes] = []
    held_bytes = 0
    for piece in pieces:
        held.append(compressor.compress(piece))
        held_bytes += len(held[-1])
        if held_bytes >= PIECE_BYTES:
            yield b"".join(held)
            held, held_bytes = [], 0
    yield b"".join([*held, compressor.flush()])


def _own_file(archive: Path, file: Path, size: int) -> Member:
    def open_it() -> int:
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)

    return Member(archive, file.name, size, 0, open_it)
