"""When upload sessions began: a file in the folder of each, as CNCF Distribution has it, but one file for many.

A push that makes a file only to remove it a moment later is dear: ext4 does not hand out again what was removed within
the last minutes, and whoever makes a file looks through all of that first. Sessions that begin in the same second
therefore share a file, by hard links. Measured: docs/decisions/0017-create-and-remove-no-needless-file.md.
"""

import os
from contextlib import suppress


class Beginnings:
    """Writes these files. `newest` names the last one that was written, for all processes that serve one folder."""

    def __init__(self, newest: str) -> None:
        self._newest = newest

    def write(self, path: str, text: str) -> None:
        """Put `text` at `path`, where nothing is. Blocks. Not synced."""
        if _read(self._newest) == text.encode():
            # Another process may have put a newer one there since: then it says a second too much.
            with suppress(OSError):  # no hard links here, or too many of one file: it gets a file of its own
                os.link(self._newest, path)
                return
        _write(path, text.encode())
        with suppress(OSError):  # others may do the same at the same time: whichever stays is a right one
            os.unlink(self._newest)
        with suppress(OSError):
            os.link(path, self._newest)


def _read(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


def _write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
