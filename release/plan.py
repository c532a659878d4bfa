"""What all artefacts of one release share: version, commit, time and folder."""

import ast
from dataclasses import dataclass
from pathlib import Path

from release.errors import ReleaseError
from release.program import run

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Plan:
    """One release. The same commit gives the same plan, and the same plan gives the same bytes."""

    root: Path  # the clone
    dist: Path  # the folder for artefacts; it exists
    version: str
    revision: str  # the commit; of a trial from uncommitted files with `-dirty` behind it
    epoch: int  # SOURCE_DATE_EPOCH: the commit's time, in seconds
    is_trial: bool = False  # built from whatever the folder contains

    @property
    def work(self) -> Path:
        """The folder for intermediate files, build/release; may be missing."""
        return self.root / "build" / "release"


def read_plan(dist: Path, root: Path = ROOT, *, is_trial: bool = False) -> Plan:
    """The plan for the commit that is checked out. Creates `dist`. Raises ReleaseError."""
    dist.mkdir(parents=True, exist_ok=True)
    revision, _, seconds = _git(root, "log", "-1", "--format=%H %ct").partition(" ")
    if is_trial and uncommitted(root):
        revision += "-dirty"
    return Plan(root, dist, read_version(root), revision, int(seconds), is_trial)


def read_version(root: Path) -> str:
    """`__version__` of the clone, without an import: an installed authproxy may be another one."""
    file = root / "authproxy" / "__init__.py"
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__version__")], value=ast.Constant(value=str(version))):
                return version
            case _:
                continue
    raise ReleaseError(f'{file} has no line __version__ = "…"')


def committed(root: Path) -> set[str]:
    """The paths of all files of the commit."""
    return set(_git(root, "ls-tree", "-r", "-z", "--name-only", "HEAD").split("\0"))


def uncommitted(root: Path) -> list[str]:
    """The files that differ from the commit, as `git status` prints them."""
    return _git(root, "status", "--porcelain").splitlines()


def _git(root: Path, *words: str) -> str:
    # The clone may belong to another account than the one that builds.
    return run("git", "-c", f"safe.directory={root}", "-C", str(root), *words).rstrip()
