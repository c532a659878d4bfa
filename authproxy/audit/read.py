"""Reading audit files: several in the order of time, the last lines, and a file that grows."""

import datetime as dt
import heapq
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from authproxy.audit.chain import Line, LineInvalid, parse_line
from authproxy.audit.event import Event, from_fields

# Bytes that are read at a time.
_PIECE = 64 * 1024


class AuditEntry(NamedTuple):
    """One line, raw and parsed."""

    raw: bytes
    line: Line

    @property
    def time(self) -> str:
        """RFC 3339 in UTC, of fixed length, so that texts sort like times. "" if the line has none."""
        return str(self.line.fields.get("time", ""))


def read_raw(path: Path) -> Iterator[bytes]:
    """The lines of a file, unchanged. Raises OSError."""
    with path.open("rb") as file:
        yield from file


def parse_all(raws: Iterable[bytes]) -> Iterator[AuditEntry]:
    """The audit lines among these lines; `verify` judges the others."""
    for raw in raws:
        with suppress(LineInvalid):
            yield AuditEntry(raw, parse_line(raw))


def read_merged(paths: Sequence[Path]) -> Iterator[AuditEntry]:
    """The audit lines of several files in the order of time, without reading a file whole. Raises OSError."""
    return heapq.merge(*(parse_all(read_raw(path)) for path in paths), key=lambda entry: entry.time)


def parse_event(entry: AuditEntry) -> tuple[float, Event]:
    """The time in seconds since 1970, and the event. Raises ValueError if it is not a line of ours."""
    event = from_fields(entry.line.fields)
    moment = dt.datetime.fromisoformat(entry.time)
    if moment.tzinfo is None:
        raise ValueError(f'"{entry.time}" is a time without a zone')
    return moment.timestamp(), event


class Growing:
    """A file that grows, and is moved away when it is full."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        self._rest = b""  # the beginning of an unfinished line

    def last(self, count: int) -> list[bytes]:
        """Up to `count` lines at the current end; `more` continues after them. Raises OSError."""
        end = self._file.seek(0, os.SEEK_END)
        data, begin = b"", end
        while begin > 0 and data.count(b"\n") <= count:
            piece = min(_PIECE, begin)
            begin -= piece
            data = os.pread(self._file.fileno(), piece, begin) + data
        return self._whole_lines(data)[-count:] if count else self._whole_lines(data)[:0]

    def more(self) -> list[bytes]:
        """The lines since the last call. Raises OSError."""
        found = self._whole_lines(self._rest + self._file.read())
        if self._was_moved():
            # Lines written since the read above are still in the old file.
            found += self._whole_lines(self._rest + self._file.read())
            self.close()
            self._file = self._path.open("rb")
            found += self._whole_lines(self._file.read())
        return found

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _whole_lines(self, data: bytes) -> list[bytes]:
        whole, end, self._rest = data.rpartition(b"\n")
        return (whole + end).splitlines(keepends=True)

    def _was_moved(self) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False  # between the two steps of a rotation
        ours = os.fstat(self._file.fileno())
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)
