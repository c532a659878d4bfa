"""Layers of images: the plain tar, however the layer is packed; and plain tars packed for a registry.

The same bytes come of it whenever it is done, so a second push finds its blobs there: gzip's header has a time and a
file name by custom, and here it has neither.
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
from authproxy.images.archive.errors import ArchiveError
from authproxy.images.archive.free_space import FreeSpace
from authproxy.images.archive.members import PIECE_BYTES, Member
from authproxy.images.archive.unpacking import GZIP, MAGIC_BYTES, unpacker

# gzip's own default, and docker's: a push waits for it once, and each pull and the storage gain for ever.
LEVEL = 6
GZIP_FORMAT = 16 + zlib.MAX_WBITS  # zlib writes gzip's header itself: without a time, a name or a comment


class PlainLayer:
    """A layer that is a member of an archive, read as the tar that it is or packs. For a thread."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.magic = member.head(MAGIC_BYTES)

    def pieces(self) -> Iterator[bytes]:
        """The plain tar's bytes. Raises ArchiveError where what packs them is damaged."""
        source = unpacker(
            self.magic, cast("io.BufferedReader", io.BufferedReader(_MemberReader(self.member), PIECE_BYTES))
        )
        if source is None:
            yield from self.member.pieces()
            return
        try:
            while piece := source.read(PIECE_BYTES):
                yield piece
        except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
            raise self.member.fault(f"is packed, but damaged: {error}") from error

    def verify(self, diff_id: Digest) -> None:
        """Read it all. Raises ArchiveError where it is another tar than `diff_id` names."""
        hasher = new_hasher(diff_id.algorithm)
        for piece in self.pieces():
            hasher.update(piece)
        self.require(Digest(diff_id.algorithm, hasher.hexdigest()), diff_id)

    def require(self, actual: Digest, diff_id: Digest) -> None:
        """Raises ArchiveError where the plain tar's digest is not what the configuration says."""
        if actual != diff_id:
            raise self.member.fault(f"has the digest {actual}, and its image's rootfs.diff_ids say {diff_id}")


class _MemberReader(io.RawIOBase):
    """A member's bytes as a file that is read once, from its beginning to its end."""

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
class PackedLayer:
    """A packed layer in a file of ours, or the member itself where it was gzip already."""

    digest: Digest
    size: int
    file: Member


def is_gzip(member: Member) -> bool:
    """Whether a layer is packed as it is, so that a registry takes it so."""
    return PlainLayer(member).magic.startswith(GZIP)


def pack_layer(member: Member, diff_id: Digest, folder: Path) -> PackedLayer:
    """Pack a layer into a new file of `folder`, named after its digest, for a thread.

    Raises ArchiveError where the layer's plain tar is not the one that the configuration names by `diff_id`, or the
    disk is full. A layer that is gzip already is only read.
    """
    plain = PlainLayer(member)
    if plain.magic.startswith(GZIP):
        plain.verify(diff_id)
        hasher = hashlib.sha256()
        for piece in member.pieces():
            hasher.update(piece)
        return PackedLayer(Digest("sha256", hasher.hexdigest()), member.size, member)
    return _pack(plain, diff_id, folder)


def _pack(plain: PlainLayer, diff_id: Digest, folder: Path) -> PackedLayer:
    unnamed = folder / f"packing-{os.urandom(8).hex()}"
    hasher = hashlib.sha256()
    size = 0
    free_space = FreeSpace(folder)
    try:
        with unnamed.open("xb") as file:
            for piece in _gzip(_checked(plain, diff_id)):
                hasher.update(piece)
                free_space.take(len(piece))
                size += file.write(piece)
        digest = Digest("sha256", hasher.hexdigest())
        packed = unnamed.rename(folder / digest.hex)
    except OSError as error:
        unnamed.unlink(missing_ok=True)
        raise ArchiveError(
            plain.member.archive, f"its layers cannot be packed in {folder}: {error.strerror}; TMPDIR names another"
        ) from error
    except ArchiveError:
        unnamed.unlink(missing_ok=True)
        raise
    return PackedLayer(digest, size, _own_file(plain.member.archive, packed, size))


def _checked(plain: PlainLayer, diff_id: Digest) -> Iterator[bytes]:
    hasher = new_hasher(diff_id.algorithm)
    for piece in plain.pieces():
        hasher.update(piece)
        yield piece
    plain.require(Digest(diff_id.algorithm, hasher.hexdigest()), diff_id)


def _gzip(pieces: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP_FORMAT)
    held: list[bytes] = []
    held_bytes = 0
    for piece in pieces:
        held.append(packer.compress(piece))
        held_bytes += len(held[-1])
        if held_bytes >= PIECE_BYTES:
            yield b"".join(held)
            held, held_bytes = [], 0
    yield b"".join([*held, packer.flush()])


def _own_file(archive: Path, file: Path, size: int) -> Member:
    def open_it() -> int:
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)

    return Member(archive, file.name, size, 0, open_it)
