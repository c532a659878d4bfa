"""The wheel and the source distribution, by hatchling: SOURCE_DATE_EPOCH makes two builds the same bytes."""

import sys
import tarfile
from pathlib import Path

from release.errors import ReleaseError
from release.plan import Plan, committed
from release.program import run

# What the build adds to the files of the commit.
ADDED = {"PKG-INFO", "authproxy/revision"}


def wheel_of(plan: Plan) -> Path:
    """Where the wheel of a release is."""
    return python_files(plan.dist, plan.version)[1]


def python_files(dist: Path, version: str) -> list[Path]:
    """Where the source distribution and the wheel of a version are."""
    return [dist / f"authproxy_registry-{version}{end}" for end in (".tar.gz", "-py3-none-any.whl")]


def make(plan: Plan) -> list[Path]:
    """Build both from the clone."""
    files = python_files(plan.dist, plan.version)
    words = ("-m", "hatchling", "build", "--directory", str(plan.dist.resolve()))
    settings = {"SOURCE_DATE_EPOCH": str(plan.epoch), "AUTHPROXY_REVISION": plan.revision}
    run(sys.executable, *words, cwd=plan.root, env=settings)
    if not plan.is_trial:
        _refuse_untracked(plan, files[0])
    if missing := [file.name for file in files if not file.exists()]:
        raise ReleaseError(f"the build made no {missing[0]}")
    return files


def _refuse_untracked(plan: Plan, source: Path) -> None:
    """Raises ReleaseError for a file that git ignores by a rule of this user alone: hatchling knows only .gitignore."""
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    if others := sorted(names - committed(plan.root) - ADDED):
        raise ReleaseError(f"{others[0]} would be in the source distribution, but is not in the commit: remove it")
