"""dist/SHA256SUMS: the digests of all artefacts, for `sha256sum --check`."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from release.plan import Plan

NAME = "SHA256SUMS"


def make(plan: Plan) -> list[Path]:
    """Write the digests of the files of dist/, sorted by name."""
    files = sorted(file for file in plan.dist.iterdir() if file.is_file() and file.name != NAME)
    sums = plan.dist / NAME
    sums.write_text("".join(f"{digest_of(file)}  {file.name}\n" for file in files))
    return [sums]


def digest_of(file: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def describe(files: Iterable[Path]) -> str:
    """A line for each file: its digest, size and name."""
    return "\n".join(f"{digest_of(file)}  {file.stat().st_size:>12,}  {file.name}" for file in files)
