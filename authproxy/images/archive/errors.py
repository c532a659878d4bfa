"""The error of archives: one sentence that names the file, and the member if one is the cause."""

from pathlib import Path


class ArchiveError(Exception):
    """An archive cannot be read or written."""

    def __init__(self, path: Path, sentence: str, *, member: str | None = None) -> None:
        place = str(path) if member is None else f"{path}: {printable(member)}"
        super().__init__(f"{place}: {sentence}")


def printable(text: str) -> str:
    """A name from an archive, safe on a terminal: control characters escaped, at most 200 characters."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:200])
