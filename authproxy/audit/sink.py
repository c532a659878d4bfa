"""Where audit lines go: the seam between the chain and the places that keep it."""

from collections.abc import Sequence
from typing import Protocol

from authproxy.audit.chain import Link


class SinkFailed(Exception):
    """Nothing could be written just now; it is tried again. The text is for the log: it names no secret."""


class LinesRefused(SinkFailed):
    """The first `count` lines will never be taken, however often they are tried."""

    def __init__(self, message: str, count: int) -> None:
        super().__init__(message)
        self.count = count


class AuditSink(Protocol):
    """One place that keeps lines. All is called in one thread of its own, and may block as long as it takes."""

    name: str  # in the configuration: file, stdout, syslog, webhook

    def open(self) -> Link | None:
        """Get ready. Returns the position of the last line kept, or None for a new chain. Raises SinkFailed."""

    def write(self, lines: Sequence[bytes]) -> int:
        """Keep lines, each with its end of line: how many of the first ones were, at least one.

        Raises SinkFailed where none was kept, so that a line is never written twice by a second try.
        """

    def close(self) -> None:
        """Let go of everything, with what was written kept for good. Does not raise."""


class MemorySink:
    """Lines in memory: the twin for tests."""

    name = "memory"

    def __init__(self, last: Link | None = None) -> None:
        self.lines: list[bytes] = []
        self.is_closed = False
        self._last = last

    def open(self) -> Link | None:
        """See AuditSink."""
        return self._last

    def write(self, lines: Sequence[bytes]) -> int:
        """See AuditSink."""
        self.lines += lines
        return len(lines)

    def close(self) -> None:
        """See AuditSink."""
        self.is_closed = True
