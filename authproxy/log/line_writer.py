"""Writes finished lines of the log to standard error. A line that can't be written is lost and counted.

Whatever happens to standard error (closed, a pipe without a reader, a file on a full disk), logging raises nothing: a
log that fails must not take down its server.
"""

import io
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO, TypeAlias

# How many lines were lost → a line that says so, without its line break.
Notice: TypeAlias = Callable[[int], str]


class LineWriter:
    """Writes whole lines, in any thread, and never raises. `stream` None: the standard error of that moment.

    Lines bypass Python's buffer: in it, a line that could not be written would stay, and fail those after it.
    """

    def __init__(self, stream: TextIO | None = None, *, notice: Notice | None = None) -> None:
        self._stream = stream
        self._notice = notice
        # Reentrant: the garbage collector may run within `write`, and log a fault of a task that it finds.
        self._lock = threading.RLock()
        self._lost = 0
        self._unreported = 0  # lost lines that no notice has counted yet
        self._is_torn = False  # a line was written in part: the next one must not continue it

    @property
    def lost(self) -> int:
        """Lines that could not be made or written."""
        return self._lost

    def write(self, text: str, lines: int = 1) -> None:
        """Write a text of `lines` whole lines. After a loss, the first text that can be written follows a notice."""
        with self._lock:
            try:
                self._write(self._with_notice(text))
            except Exception:  # noqa: BLE001 - no fault of the log may reach its callers
                self._lost += lines
                self._unreported += lines
            else:
                self._unreported = 0

    def lose(self) -> None:
        """Count a line that could not even be made."""
        with self._lock:
            self._lost += 1
            self._unreported += 1

    def _with_notice(self, text: str) -> str:
        if self._unreported and self._notice is not None:
            text = f"{self._notice(self._unreported)}\n{text}"
        return f"\n{text}" if self._is_torn else text

    def _write(self, text: str) -> None:
        stream = self._stream or sys.stderr
        try:
            handle = stream.fileno()
        except io.UnsupportedOperation:  # not a file of the system: a test's
            stream.write(text)
            stream.flush()
            return
        with suppress(OSError):  # first what others left in Python's buffer, if that works
            stream.flush()
        left = memoryview(text.encode("utf-8", "backslashreplace"))
        while left:
            left = left[os.write(handle, left) :]
            self._is_torn = bool(left)


def hold_standard_descriptors() -> None:
    """Open /dev/null for each closed standard stream: a socket with its number would get everything that is printed."""
    while (handle := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(handle)


_STDERR = 2
