"""What an archive is made of: named runs of bytes, each readable from any place; and a folder as an archive.

Names are always relative, and never lead out of their archive.
"""

import asyncio
import json
import os
import posixpath
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from authproxy.images.archive.errors import ArchiveError

PIECE_BYTES = 1 << 20

# A manifest.json names every layer of every image of its archive: a thousand images of a hundred layers take 10 MB.
MAX_JSON_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside an archive: `size` bytes from `offset` on in the file that `open` opens.

    `open` gives a descriptor of the operating system that the caller closes; it is read by `pread` alone, so that
    several may read at the same time.
    """

    archive: Path
    name: str
    size: int
    offset: int
    open: Callable[[], int]

    def pieces(self, start: int = 0) -> Iterator[bytes]:
        """The bytes from `start` on, for a thread. Raises ArchiveError where there are fewer than `size`."""
        handle = self.open()
        try:
            while start < self.size:
                piece = self._piece(handle, start)
                start += len(piece)
                yield piece
        finally:
            os.close(handle)

    async def stream(self, start: int = 0) -> AsyncIterator[bytes]:
        """The same for the loop, which does not wait for the disk."""
        handle = self.open()
        try:
            while start < self.size:
                piece = await asyncio.to_thread(self._piece, handle, start)
                start += len(piece)
                yield piece
        finally:
            os.close(handle)

    def head(self, count: int) -> bytes:
        """The first bytes, fewer where there are no more."""
        handle = self.open()
        try:
            return os.pread(handle, min(count, self.size), self.offset)
        finally:
            os.close(handle)

    def read(self, max_bytes: int) -> bytes:
        """All of a small member. Raises ArchiveError where it is larger than `max_bytes`, before any is read."""
        if self.size > max_bytes:
            raise self.fault(f"has {self.size} bytes, where at most {max_bytes} are read")
        return b"".join(self.pieces())

    def read_json(self) -> Any:
        """A small member that is JSON. Raises ArchiveError."""
        try:
            return json.loads(self.read(MAX_JSON_BYTES))
        except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
            raise self.fault("is not JSON") from error

    def fault(self, sentence: str) -> ArchiveError:
        """What is wrong with this member."""
        return ArchiveError(self.archive, sentence, member=self.name)

    def _piece(self, handle: int, start: int) -> bytes:
        piece = os.pread(handle, min(PIECE_BYTES, self.size - start), self.offset + start)
        if not piece:
            raise self.fault(f"ends after {start} of {self.size} bytes: the file was cut off or has changed")
        return piece


class Members(Protocol):
    """The files of an archive by their names, `blobs/sha256/…`; open until closed."""

    @property
    def path(self) -> Path:
        """The archive's own name, for errors."""

    def find(self, name: str) -> Member | None:
        """The file of this name, links followed within the archive. None where there is none.

        Raises ArchiveError where the name leads out of the archive or to what is no file.
        """

    def close(self) -> None:
        """Let go of open files. May be repeated."""


@dataclass(frozen=True, slots=True)
class FolderMembers:
    """The files below a folder.

    Links are followed wherever they lead: layouts share blobs by links (Bazel's are made of them), the folder is the
    caller's own, and what is pushed has to have the digest that the manifest says.
    """

    path: Path  # what errors name
    folder: Path

    def find(self, name: str) -> Member | None:
        """See Members."""
        file = self.folder / parse_member_name(name, self.path)
        try:
            status = file.stat()
        except FileNotFoundError:
            return None
        except OSError as error:  # a folder without permission, a file in a folder's place, a circle of links
            raise ArchiveError(self.path, f"cannot be read: {error.strerror}", member=name) from error
        if not stat.S_ISREG(status.st_mode):
            raise ArchiveError(self.path, "is no regular file", member=name)
        return Member(self.path, name, status.st_size, 0, partial(_open, file, self.path, name))

    def close(self) -> None:
        """Nothing is open between reads."""


def _open(file: Path, archive: Path, name: str) -> int:
    try:
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ArchiveError(archive, f"cannot be read: {error.strerror}", member=name) from error


def need(members: Members, name: str, named_by: str) -> Member:
    """A member that another one names. Raises ArchiveError where the archive lacks it."""
    member = members.find(name)
    if member is None:
        raise ArchiveError(members.path, f"is missing, though {named_by} names it", member=name)
    return member


def parse_member_name(text: str, archive: Path) -> str:
    """Read a member's name into its one plain form: `./a//b` is `a/b`, and the archive itself is the empty text.

    Raises ArchiveError where it is absolute, climbs with `..`, or cannot be a path.
    """
    if text.startswith("/"):
        raise ArchiveError(archive, "is an absolute path, which no archive of images has", member=text)
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ArchiveError(archive, "leads out of its folder by '..', which no archive of images does", member=text)
    if "\0" in text or not _is_unicode(text):
        raise ArchiveError(archive, "is no file name", member=text)
    return "/".join(parts)


def resolve_link(name: str, target: str, archive: Path) -> str:
    """The member that a symbolic link leads to, from the folder that the link is in.

    Raises ArchiveError where that is outside: an old `docker save` has `ID/layer.tar -> ../OTHER/layer.tar`.
    """
    path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    if path.startswith(("/", "..")):
        raise ArchiveError(archive, "is a link that leads out of the archive", member=name)
    return path


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # tarfile keeps bytes that are no UTF-8 as lone surrogates
        return False
    return True
