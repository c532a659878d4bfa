"""The files in an archive, each readable from any offset; and a folder as an archive.

Names are always relative, and never lead out of the archive.
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

# A manifest.json lists every layer of every image of its archive: a thousand images of a hundred layers take 10 MB.
MAX_JSON_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside an archive: `size` bytes from `offset` on in the file that `open` opens.

    `open` returns a file descriptor that the caller closes. It is read with `pread` only, so that several readers can
    share it.
    """

    archive: Path
    name: str
    size: int
    offset: int
    open: Callable[[], int]

    def pieces(self, start: int = 0) -> Iterator[bytes]:
        """The bytes from `start` on, for a thread. Raises ArchiveError if the file ends early."""
        handle = self.open()
        try:
            while start < self.size:
                piece = self._piece(handle, start)
                start += len(piece)
                yield piece
        finally:
            os.close(handle)

    async def stream(self, start: int = 0) -> AsyncIterator[bytes]:
        """The same for the event loop: reads in threads."""
        handle = self.open()
        try:
            while start < self.size:
                piece = await asyncio.to_thread(self._piece, handle, start)
                start += len(piece)
                yield piece
        finally:
            os.close(handle)

    def head(self, count: int) -> bytes:
        """The first `count` bytes, or fewer if the member is smaller."""
        handle = self.open()
        try:
            return os.pread(handle, min(count, self.size), self.offset)
        finally:
            os.close(handle)

    def read(self, max_bytes: int) -> bytes:
        """All of a small member. Raises ArchiveError, before it reads, if the member is larger than `max_bytes`."""
        if self.size > max_bytes:
            raise self.fault(f"has {self.size} bytes; at most {max_bytes} can be read")
        return b"".join(self.pieces())

    def read_json(self) -> Any:
        """A small member that is JSON. Raises ArchiveError."""
        try:
            return json.loads(self.read(MAX_JSON_BYTES))
        except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
            raise self.fault("is not JSON") from error

    def fault(self, sentence: str) -> ArchiveError:
        """An error of this member."""
        return ArchiveError(self.archive, sentence, member=self.name)

    def _piece(self, handle: int, start: int) -> bytes:
        piece = os.pread(handle, min(PIECE_BYTES, self.size - start), self.offset + start)
        if not piece:
            raise self.fault(f"ends after {start} of {self.size} bytes: the file was truncated or has changed")
        return piece


class Members(Protocol):
    """The files of an archive by their names, `blobs/sha256/…`; open until closed."""

    @property
    def path(self) -> Path:
        """The archive's path, for errors."""

    def find(self, name: str) -> Member | None:
        """The file of this name, if any. Follows links within the archive.

        Raises ArchiveError if the name leads out of the archive, or to anything but a file.
        """

    def close(self) -> None:
        """Close open files. May be repeated."""


@dataclass(frozen=True, slots=True)
class FolderMembers:
    """The files below a folder.

    Follows links wherever they lead: layouts share blobs by links (Bazel's consist of them), the folder is the
    caller's own, and pushed content must have the digest in the manifest.
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
        except OSError as error:  # no permission, a file instead of a folder, a loop of links
            raise ArchiveError(self.path, f"cannot be read: {error.strerror}", member=name) from error
        if not stat.S_ISREG(status.st_mode):
            raise ArchiveError(self.path, "is not a regular file", member=name)
        return Member(self.path, name, status.st_size, 0, partial(_open, file, self.path, name))

    def close(self) -> None:
        """Does nothing: no file stays open between reads."""


def _open(file: Path, archive: Path, name: str) -> int:
    try:
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ArchiveError(archive, f"cannot be read: {error.strerror}", member=name) from error


def need(members: Members, name: str, required_by: str) -> Member:
    """The member `name`. Raises ArchiveError if it is missing, with `required_by` in the message."""
    member = members.find(name)
    if member is None:
        raise ArchiveError(members.path, f"is missing, but {required_by} requires it", member=name)
    return member


def parse_member_name(text: str, archive: Path) -> str:
    """Normalise a member's name: `./a//b` is `a/b`, and the archive itself is the empty string.

    Raises ArchiveError if it is absolute, contains `..`, or cannot be a path.
    """
    if text.startswith("/"):
        raise ArchiveError(archive, "is an absolute path, which an archive of images must not contain", member=text)
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ArchiveError(archive, "contains '..', which an archive of images must not", member=text)
    if "\0" in text or not _is_unicode(text):
        raise ArchiveError(archive, "is not a file name", member=text)
    return "/".join(parts)


def resolve_link(name: str, target: str, archive: Path) -> str:
    """The member that a symbolic link points to: an old `docker save` has `ID/layer.tar -> ../OTHER/layer.tar`.

    Raises ArchiveError if it is outside the archive.
    """
    path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    if path.startswith(("/", "..")):
        raise ArchiveError(archive, "is a link that leads out of the archive", member=name)
    return path


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # tarfile keeps bytes that are not UTF-8 as lone surrogates
        return False
    return True
