"""Where audit lines go: the interface between the chain and the places that keep it."""

from collections.abc import Sequence
from typing import Protocol

from authproxy.audit.chain import Link


class SinkFailed(Exception):
    """Nothing could be written; it is retried. The text is for the log and contains no secret."""


class LinesRefused(SinkFailed):
    """The sink will never accept the first `count` lines, so they are not retried."""

    def __init__(self, message: str, count: int) -> None:
        super().__init__(message)
        self.count = count


class AuditSink(Protocol):
    """A place that keeps lines. Its methods are called in one thread of their own, and may block."""

    name: str  # in the configuration: file, stdout, syslog, webhook

    def open(self) -> Link | None:
        """Open it. Returns the position of the last line kept, or None for a new chain. Raises SinkFailed."""

    def write(self, lines: Sequence[bytes]) -> int:
        """Write lines, each with its end of line. Returns how many of the first ones were written, at least one.

        Raises SinkFailed if none was written, so that a retry never writes a line twice.
        """

    def close(self) -> None:
        """Close it, with all written lines on stable storage. Does not raise."""


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
