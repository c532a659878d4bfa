"""dist/SHA256SUMS: the digests of all artefacts, for `sha256sum --check`."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from release.errors import ReleaseError
from release.plan import Plan

NAME = "SHA256SUMS"
# The mark of a folder that a trial filled.
TRIAL = "TRIAL"


def make(plan: Plan) -> list[Path]:
    """Write the digests of the files of dist/, sorted by name."""
    files = sorted(file for file in plan.dist.iterdir() if file.is_file() and file.name not in (NAME, TRIAL))
    sums = plan.dist / NAME
    sums.write_text("".join(f"{digest_of(file)}  {file.name}\n" for file in files))
    return [sums]


def digest_of(file: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def verify(files: Iterable[Path]) -> None:
    """Raises ReleaseError unless these may be published: no trial made them, and SHA256SUMS lists them as they are."""
    for file in files:
        sums = file.parent / NAME
        if (file.parent / TRIAL).exists():
            raise ReleaseError(
                f"{file.parent} was made by a trial, which is not published (its file {TRIAL} says so): make release"
            )
        if not file.exists() or not sums.exists():
            raise ReleaseError(f"{file.parent} has no {file.name} with {NAME}; make them: make release")
        if f"{digest_of(file)}  {file.name}" not in sums.read_text(encoding="utf-8").splitlines():
            raise ReleaseError(f"{file} is not the one that {NAME} lists; make both again: make release")


def describe(files: Iterable[Path]) -> str:
    """A line for each file: its digest, size and name."""
    return "\n".join(f"{digest_of(file)}  {file.stat().st_size:>12,}  {file.name}" for file in files)
