"""How far a command is: one line on a terminal that changes, and nothing elsewhere."""

import shutil
import sys
import time
from collections.abc import Callable

# How often the line changes, in seconds.
SHOWN_EVERY_S = 0.5


class ProgressLine:
    """The line, on standard error."""

    def __init__(self) -> None:
        self._is_on = sys.stderr.isatty()
        self._next = 0.0

    def show(self, words: Callable[[], str]) -> None:
        """Show these words, unless the line has just changed."""
        if self._is_on and time.monotonic() >= self._next:
            self._next = time.monotonic() + SHOWN_EVERY_S
            self._write(words()[: shutil.get_terminal_size().columns - 1])

    def end(self) -> None:
        """Remove the line."""
        if self._is_on:
            self._write("")

    def _write(self, text: str) -> None:
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
