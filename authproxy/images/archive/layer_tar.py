"""The plain tar of a layer, however the layer is packed."""

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import cast

import zstandard

from authproxy.digest import Digest, new_hasher
from authproxy.images.archive.members import PIECE_BYTES, Member
from authproxy.images.archive.unpacking import MAGIC_BYTES, unpacker


class PlainLayer:
    """A layer that is a member of an archive, read as the tar that it is or packs. For a thread."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.magic = member.head(MAGIC_BYTES)

    def pieces(self) -> Iterator[bytes]:
        """The plain tar's bytes. Raises ArchiveError where what packs them is damaged."""
        source = unpacker(self.magic, cast("io.BufferedReader", io.BufferedReader(_Raw(self.member), PIECE_BYTES)))
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


class _Raw(io.RawIOBase):
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
