"""Records of a fixed length, sorted in bounded memory: runs that are sorted in memory lie in one temporary file.

Why this way: docs/decisions/0072-sort-marks-on-disk.md. The temporary file has no name, so that nothing remains of it
when the process is killed.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from heapq import merge
from pathlib import Path
from typing import IO

# Records that are sorted in memory at once. Sorting holds the interpreter lock, for 8 ms here: a server that collects
# beside its requests answers meanwhile.
RUN = 16_384

# Bytes of a run that are in memory while runs are merged: 10⁷ records are 611 runs, which take 20 MB.
WINDOW_BYTES = 32 * 1024

# Bytes that are read at once from sorted records.
READ_BYTES = 256 * 1024


class SortedRecords:
    """Sorted records, each once. May be iterated repeatedly, by several iterators at once."""

    def __init__(self, file: "IO[bytes] | None", kept: list[bytes], size: int, count: int, run: int) -> None:
        self._file = file
        self._kept = kept
        self._size = size
        self._count = count
        self._at_once = max(min(READ_BYTES // size, run), 1) * size

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        if self._file is None:
            yield from self._kept
            return
        step, number = self._size, self._file.fileno()
        for offset in range(0, self._count * step, self._at_once):
            piece = os.pread(number, self._at_once, offset)
            for first in range(0, len(piece), step):
                yield piece[first : first + step]

    def close(self) -> None:
        """Release the temporary file."""
        self._kept = []
        self._count = 0
        if self._file is not None:
            discard(self._file)
            self._file = None


class RecordSorter:
    """Takes records of `size` bytes in any order. `folder`: for temporary files (None: the system's)."""

    def __init__(self, size: int, folder: Path | None = None, *, run: int = RUN) -> None:
        self._size = size
        self._folder = folder
        self._run = run
        self._pending: list[bytes] = []
        self._runs: list[tuple[int, int]] = []  # offset and end of each run, in bytes
        self._file: IO[bytes] | None = None

    @property
    def is_spilled(self) -> bool:
        """Whether `finish` merges runs, which takes long: 2 µs for each record."""
        return bool(self._runs)

    def add(self, record: bytes) -> None:
        """Take one record. Raises OSError where the temporary file can't be written."""
        self._pending.append(record)
        if len(self._pending) >= self._run:
            self._spill()

    def close(self) -> None:
        """Drop all records."""
        self._pending = []
        self._runs = []
        if self._file is not None:
            discard(self._file)
            self._file = None

    def finish(self) -> SortedRecords:
        """All records, sorted, each once. The sorter is empty afterwards. Raises OSError."""
        if not self._runs:
            kept = sorted(set(self._pending))
            self._pending = []
            return SortedRecords(None, kept, self._size, len(kept), self._run)
        if self._pending:
            self._spill()
        file, count = temporary_file(self._folder), 0
        try:
            last = b""
            batch: list[bytes] = []
            for record in merge(*(self._read_run(*run) for run in self._runs)):
                if record != last:
                    batch.append(record)
                    last = record
                    if len(batch) >= self._run:
                        file.write(b"".join(batch))
                        count += len(batch)
                        batch.clear()
            file.write(b"".join(batch))
            count += len(batch)
            file.flush()
        except BaseException:
            discard(file)
            raise
        finally:
            self.close()
        return SortedRecords(file, [], self._size, count, self._run)

    def _spill(self) -> None:
        if self._file is None:
            self._file = temporary_file(self._folder)
        ordered = sorted(set(self._pending))
        first = self._runs[-1][1] if self._runs else 0
        self._file.seek(first)
        self._file.write(b"".join(ordered))
        self._file.flush()
        self._runs.append((first, first + len(ordered) * self._size))
        self._pending = []

    def _read_run(self, first: int, end: int) -> Iterator[bytes]:
        assert self._file is not None
        step = self._size
        at_once = max(min(WINDOW_BYTES // step, self._run), 1) * step
        for offset in range(first, end, at_once):
            piece = os.pread(self._file.fileno(), min(at_once, end - offset), offset)
            for start in range(0, len(piece), step):
                yield piece[start : start + step]


def temporary_file(folder: Path | None) -> "IO[bytes]":
    """A file without a name: nothing of it remains after the process. Raises OSError."""
    return tempfile.TemporaryFile(dir=folder, prefix="authproxy-gc-")


def discard(file: "IO[bytes]") -> None:
    """Close a temporary file. On a full disk closing writes once more what could not be written: nobody needs it."""
    with suppress(OSError):
        file.close()
