"""Tar files: read in place by an index of their headers, and written."""

import os
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from authproxy.images.archive.errors import ArchiveError
from authproxy.images.archive.members import Member, parse_member_name, resolve_link

# `docker save` writes four members per layer: a thousand images of a hundred layers, a quarter of them shared.
MAX_MEMBERS = 300_000

# tarfile reads a long name or a pax header at once, whatever size the preceding header claims.
MAX_HEADER_BYTES = 1 << 20
MAX_HEADERS_BYTES = 512 << 20

MAX_LINKS = 8

FILE_MODE = 0o644


@dataclass(frozen=True, slots=True)
class _TarEntry:
    size: int
    offset: int
    target: str | None = None  # of a link: the name of the member that it points to
    is_file: bool = True


@dataclass(frozen=True, slots=True)
class TarMembers:
    """The files of a plain tar. `close` closes `file`."""

    path: Path
    file: BinaryIO
    entries: Mapping[str, _TarEntry] = field(repr=False)

    def find(self, name: str) -> Member | None:
        """See Members. Of several members with the same name the last counts, as in extraction."""
        place = parse_member_name(name, self.path)
        for _ in range(MAX_LINKS):
            entry = self.entries.get(place)
            if entry is None:
                return None
            if entry.target is None:
                return self._member(place, entry)
            place = entry.target
        raise ArchiveError(self.path, f"is a chain of {MAX_LINKS} or more links, or a loop", member=name)

    def close(self) -> None:
        """See Members."""
        self.file.close()

    def _member(self, name: str, entry: _TarEntry) -> Member:
        if not entry.is_file:
            raise ArchiveError(self.path, "is not a regular file", member=name)
        return Member(self.path, name, entry.size, entry.offset, partial(os.dup, self.file.fileno()))


def open_tar(file: BinaryIO, path: Path) -> TarMembers:
    """Index a plain tar. Raises ArchiveError if it is not a tar, truncated, or crafted to harm its reader."""
    try:
        return TarMembers(path, file, _index(file, path))
    except BaseException:
        file.close()
        raise


def _index(file: BinaryIO, path: Path) -> dict[str, _TarEntry]:
    entries: dict[str, _TarEntry] = {}
    length = os.fstat(file.fileno()).st_size
    file.seek(0)
    try:
        with tarfile.open(fileobj=cast("BinaryIO", _HeaderReader(file, path)), mode="r:") as archive:
            count = 0
            while (info := archive.next()) is not None:
                count += 1
                if count > MAX_MEMBERS:
                    raise ArchiveError(path, f"has more than {MAX_MEMBERS} members")
                name = parse_member_name(info.name, path)
                entries[name] = _entry(name, info, path, length)
                # tarfile keeps every member in a list that its stubs omit; our entries are smaller.
                archive.members.clear()  # type: ignore[attr-defined]
    except tarfile.ReadError as error:
        raise ArchiveError(path, f"is not a tar archive ({error})") from error
    # What tarfile raises for nonsense in a header: invalid numbers, sizes that overflow an offset.
    except (tarfile.TarError, ValueError, OverflowError, EOFError, IndexError, KeyError) as error:
        raise ArchiveError(path, f"has a damaged header ({type(error).__name__}: {error})") from error
    return entries


def _entry(name: str, info: tarfile.TarInfo, path: Path, length: int) -> _TarEntry:
    if info.issym():
        return _TarEntry(0, 0, target=resolve_link(name, info.linkname, path))
    if info.islnk():
        return _TarEntry(0, 0, target=parse_member_name(info.linkname, path))
    if not info.isreg() or info.issparse():
        return _TarEntry(0, 0, is_file=False)
    if info.size < 0 or info.offset_data < 0 or info.offset_data + info.size > length:
        raise ArchiveError(path, f"has {info.size} bytes by its header, but the archive ends before them", member=name)
    return _TarEntry(info.size, info.offset_data)


class _HeaderReader:
    """The file for tarfile: it may seek anywhere, but read only as much as headers need."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._left = MAX_HEADERS_BYTES

    def read(self, count: int = -1) -> bytes:
        if not 0 <= count <= MAX_HEADER_BYTES:
            raise ArchiveError(self._path, f"has a header of {count} bytes; at most {MAX_HEADER_BYTES} can be read")
        self._left -= count
        if self._left < 0:
            raise ArchiveError(self._path, f"has headers of more than {MAX_HEADERS_BYTES} bytes")
        return self._file.read(count)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


class Writable(Protocol):
    """Accepts bytes: a file, standard output, a compressor."""

    def write(self, data: bytes, /) -> int:
        """Write all of it."""


class TarWriter:
    """Writes regular files, owned by root and dated 1970: always the same bytes for the same members.

    A size of 8 GiB or more does not fit POSIX's header; GNU's, which docker and all others read, holds it.
    """

    def __init__(self, out: Writable) -> None:
        self._out = out

    def add(self, name: str, content: bytes) -> None:
        """Write a small file."""
        self._add(name, len(content), [content])

    def copy(self, name: str, member: Member) -> None:
        """Write a file with the content of `member`. Raises ArchiveError if that cannot be read."""
        self._add(name, member.size, member.pieces())

    def finish(self) -> None:
        """Write the end, two empty blocks: pax(1), "ustar Interchange Format"."""
        self._out.write(bytes(2 * tarfile.BLOCKSIZE))

    def _add(self, name: str, size: int, pieces: Iterable[bytes]) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, FILE_MODE
        self._out.write(info.tobuf(tarfile.GNU_FORMAT))
        for piece in pieces:
            self._out.write(piece)
        self._out.write(bytes(-size % tarfile.BLOCKSIZE))
