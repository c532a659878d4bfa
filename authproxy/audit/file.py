"""Audit lines in a file, rotated by size.

    audit.log      the newest lines of the first process that writes here
    audit.log.1    those before them, and so on up to `keep`
    audit-2.log    those of a second process at the same time, rotated likewise
    .audit.log.lock

A file has one writer at a time, which holds its lock; the next writer continues the chain at its end. Why each has a
file: docs/decisions/0019-give-each-writer-an-audit-file.md. Root opens and rotates with the rights of the folder's
owner (`files/owner_rights.py`).
"""

import fcntl
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from authproxy.audit.chain import LineInvalid, Link, parse_line
from authproxy.audit.sink import SinkFailed
from authproxy.errors import StartError
from authproxy.files.atomic import open_own, sync_folder
from authproxy.files.owner_rights import OwnedPath, rights_at

log = structlog.get_logger(__name__)

# One folder never has more writers: more mean that the locks do not work.
MAX_WRITERS = 256
# Bytes that are read at a time from a file's end, to find its last line.
_TAIL = 64 * 1024


class FileSink:
    """See the module. `max_bytes` is the size at which a file is rotated, `keep` the number of older files."""

    name = "file"

    def __init__(self, path: Path, *, max_bytes: int, keep: int) -> None:
        self._first = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._path = path  # the file of the slot that was taken
        self._lock = self._file = -1
        self._size = 0

    def __repr__(self) -> str:
        return f"FileSink({str(self._path)!r}, max_bytes={self._max_bytes}, keep={self._keep})"

    def open(self) -> Link | None:
        """Take the first file without a writer, and read the end of its chain. Raises SinkFailed."""
        try:
            with rights_at(self._first) as place:
                if self._lock < 0:
                    self._path, self._lock = _take_slot(place)
                self._cut_torn_line(place)
                self._reopen()
                return self._find_end()
        except OSError as exc:
            raise self._failed(exc) from exc

    def write(self, lines: Sequence[bytes]) -> int:
        """Append as many lines as still fit into the file, after rotating it if none fits. See AuditSink."""
        try:
            self._follow()
            if self._size and self._size + len(lines[0]) > self._max_bytes:
                self._rotate()
            sizes = itertools.accumulate(map(len, lines), initial=self._size)
            fitting = sum(1 for size in itertools.islice(sizes, 1, None) if size <= self._max_bytes)
            taken = max(fitting, 1)
            self._append(b"".join(lines[:taken]))
        except OSError as exc:
            raise self._failed(exc) from exc
        return taken

    def close(self) -> None:
        """See AuditSink."""
        if self._file >= 0:
            with suppress(OSError):
                os.fdatasync(self._file)
        for handle in (self._file, self._lock):
            if handle >= 0:
                with suppress(OSError):
                    os.close(handle)
        self._file = self._lock = -1

    def _append(self, data: bytes) -> None:
        """Append all or nothing: a part that a full disk leaves is removed again."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def _follow(self) -> None:
        """Go on in a new file if ours was moved or removed."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            self._reopen()
            return
        ours = os.fstat(self._file)
        if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
            self._reopen()

    def _reopen(self) -> None:
        with rights_at(self._path) as place:
            handle = open_own(place, place.path.name, os.O_WRONLY | os.O_APPEND)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._size = handle, os.fstat(handle).st_size

    def _rotate(self) -> None:
        os.fdatasync(self._file)
        with rights_at(self._path):
            for number in range(self._keep, 0, -1):
                with suppress(FileNotFoundError):
                    _rotated(self._path, number - 1).replace(_rotated(self._path, number))
            self._reopen()
            sync_folder(self._path.parent)

    def _cut_torn_line(self, place: OwnedPath) -> None:
        """Remove a last line without its end, which a machine leaves that dies while writing it."""
        with os.fdopen(open_own(place, self._path.name, os.O_RDWR), "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            end = _end_of_last_line(file.fileno(), size)
            if end < size:
                log.warning("audit log: the last line was torn", path=str(self._path), bytes=size - end)
                file.truncate(end)

    def _find_end(self) -> Link | None:
        for path in (self._path, _rotated(self._path, 1)):
            with suppress(FileNotFoundError):
                raw = _last_line(path)
                if raw is None:
                    continue
                try:
                    line = parse_line(raw)
                except LineInvalid as exc:
                    log.warning("audit log: the last line was spoilt; a new chain", path=str(path), reason=str(exc))
                    return None
                return line.link
        return None

    def _failed(self, exc: OSError) -> SinkFailed:
        return SinkFailed(f"{self._path}: {exc.strerror or exc}")


def check_place(path: Path) -> None:
    """Raise StartError if no file can be created at `path`."""
    folder = path.parent
    if not folder.is_dir():
        raise StartError(f"audit.file.path: the folder {folder} does not exist; create it, for the server's user only")
    if path.is_dir():
        raise StartError(f"audit.file.path: {path} is a folder; name a file in it")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StartError(f"audit.file.path: nothing can be created in {folder}; let the server's user write there")


def list_files(path: Path) -> list[Path]:
    """All files of the sink of `path`, writer by writer, the oldest of each first."""
    path = path.resolve() if path.is_symlink() else path  # the others are in the folder of its target
    shape = re.compile(rf"{re.escape(path.stem)}(?:-([0-9]+))?{re.escape(path.suffix)}(?:\.([0-9]+))?")
    found = [(match, file) for file in path.parent.glob("*") if (match := shape.fullmatch(file.name))]
    found.sort(key=lambda pair: (int(pair[0][1] or 1), -int(pair[0][2] or 0)))
    return [file for _, file in found]


def list_folder(folder: Path) -> list[Path]:
    """All files of a folder with the logs of several nodes, except hidden ones. Raises OSError."""
    return sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))


def _take_slot(place: OwnedPath) -> tuple[Path, int]:
    for number in range(1, MAX_WRITERS + 1):
        slot = _slot(place.path, number)
        handle = open_own(place, f".{slot.name}.lock", os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
        except OSError:
            os.close(handle)
            raise
        else:
            return slot, handle
    raise SinkFailed(f"{place.path}: {MAX_WRITERS} processes write here already")


def _slot(path: Path, number: int) -> Path:
    return path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")


def _rotated(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}") if number else path


def _pieces_backwards(handle: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Pieces of a file from its end, each with its offset."""
    while size > 0:
        begin = max(size - _TAIL, 0)
        yield begin, os.pread(handle, size - begin, begin)
        size = begin


def _end_of_last_line(handle: int, size: int) -> int:
    """The offset after the last end of line; 0 if there is none."""
    for begin, piece in _pieces_backwards(handle, size):
        if (at := piece.rfind(b"\n")) >= 0:
            return begin + at + 1
    return 0


def _last_line(path: Path) -> bytes | None:
    """The last whole line of a file; None if it has none."""
    with path.open("rb") as file:
        end = _end_of_last_line(file.fileno(), file.seek(0, os.SEEK_END))
        if end == 0:
            return None
        begin = _end_of_last_line(file.fileno(), end - 1)
        return os.pread(file.fileno(), end - begin, begin)
