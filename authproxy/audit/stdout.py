"""Audit lines on standard output, for a log collector."""

import os
import sys
from collections.abc import Sequence

from authproxy.audit.chain import Link
from authproxy.audit.sink import SinkFailed


class StdoutSink:
    """Writes without Python's buffer, one call per line: lines up to 4 KiB of several processes do not mix in a pipe.

    `handle` None: the standard output of the process at the time of writing.
    """

    name = "stdout"

    def __init__(self, handle: int | None = None) -> None:
        self._handle = handle

    def open(self) -> Link | None:
        """A new chain: lines written cannot be read back."""
        return None

    def write(self, lines: Sequence[bytes]) -> int:
        """See AuditSink."""
        handle = sys.stdout.fileno() if self._handle is None else self._handle
        taken = 0
        try:
            for line in lines:
                rest = memoryview(line)
                while rest:
                    rest = rest[os.write(handle, rest) :]
                taken += 1
        except OSError as exc:
            if not taken:
                raise SinkFailed(f"standard output: {exc.strerror}") from exc
        return taken

    def close(self) -> None:
        """See AuditSink."""
