"""Finished lines of the log on their way to standard error. A line that can't be written is lost and counted.

Whatever becomes of standard error (closed, a pipe without a reader, a file on a full disk), logging raises nothing: a
log that fails must not take down the server that it describes.
"""

import io
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO, TypeAlias

# How many lines were lost → a line that says so, without its end.
Notice: TypeAlias = Callable[[int], str]


class LineWriter:
    """Writes whole lines, in any thread, and never raises. `stream` None: standard error, whatever it is then.

    Lines go past Python's buffer: in that one a line that was not written would wait, and fail those behind it.
    """

    def __init__(self, stream: TextIO | None = None, *, notice: Notice | None = None) -> None:
        self._stream = stream
        self._notice = notice
        # Reentrant: the garbage collector may run within `write`, and log a fault of a task that it finds.
        self._lock = threading.RLock()
        self._lost = 0
        self._untold = 0  # of the lost lines, those that no notice has counted yet
        self._is_torn = False  # a line was written in part: the next one must not continue it

    @property
    def lost(self) -> int:
        """Lines that could not be made or written."""
        return self._lost

    def write(self, text: str, lines: int = 1) -> None:
        """Write a text of `lines` whole lines. After a loss the first one that can be written follows a notice."""
        with self._lock:
            try:
                self._write(self._with_notice(text))
            except Exception:  # noqa: BLE001 - no fault of the log may reach its callers
                self._lost += lines
                self._untold += lines
            else:
                self._untold = 0

    def lose(self, lines: int = 1) -> None:
        """Count lines that could not even be made."""
        with self._lock:
            self._lost += lines
            self._untold += lines

    def _with_notice(self, text: str) -> str:
        if self._untold and self._notice is not None:
            text = f"{self._notice(self._untold)}\n{text}"
        return f"\n{text}" if self._is_torn else text

    def _write(self, text: str) -> None:
        stream = self._stream or sys.stderr
        try:
            handle = stream.fileno()
        except io.UnsupportedOperation:  # no file of the system: a test's
            stream.write(text)
            stream.flush()
            return
        with suppress(OSError):  # what others left in Python's buffer comes first, where that works
            stream.flush()
        left = memoryview(text.encode("utf-8", "backslashreplace"))
        while left:
            left = left[os.write(handle, left) :]
            self._is_torn = bool(left)


def hold_standard_descriptors() -> None:
    """Put /dev/null where a standard stream is closed: a socket in its place would get whatever is printed."""
    while (handle := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(handle)


_STDERR = 2
