"""What is wrong with an archive: one sentence that names the file, and the member where it is one member's fault."""

from pathlib import Path


class ArchiveError(Exception):
    """An archive that cannot be read or written as it is."""

    def __init__(self, path: Path, sentence: str, *, member: str | None = None) -> None:
        place = str(path) if member is None else f"{path}: {printable(member)}"
        super().__init__(f"{place}: {sentence}")


def printable(text: str) -> str:
    """A name out of somebody's archive, safe on a terminal: control characters escaped, 200 characters at most."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:200])
