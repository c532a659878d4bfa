"""A tar written from its beginning to its end: the same bytes for the same members, whoever writes it and when."""

import tarfile
from collections.abc import Iterable
from typing import Protocol

from authproxy.images.archive.members import Member

FILE_MODE = 0o644


class Writable(Protocol):
    """What takes bytes: a file, standard output, what packs."""

    def write(self, data: bytes, /) -> int:
        """Take all of it."""


class TarWriter:
    """Regular files, one after another, owned by root and made at the beginning of time.

    A size of eight GiB or more does not fit POSIX's header; GNU's, which docker and all others read, holds it.
    """

    def __init__(self, out: Writable) -> None:
        self._out = out

    def add(self, name: str, content: bytes) -> None:
        """A small file."""
        self._add(name, len(content), [content])

    def copy(self, name: str, member: Member) -> None:
        """A file that lies elsewhere. Raises ArchiveError where it cannot be read."""
        self._add(name, member.size, member.pieces())

    def finish(self) -> None:
        """Two empty blocks end it: pax(1), "ustar Interchange Format"."""
        self._out.write(bytes(2 * tarfile.BLOCKSIZE))

    def _add(self, name: str, size: int, pieces: Iterable[bytes]) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, FILE_MODE
        self._out.write(info.tobuf(tarfile.GNU_FORMAT))
        for piece in pieces:
            self._out.write(piece)
        self._out.write(bytes(-size % tarfile.BLOCKSIZE))
