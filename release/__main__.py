"""`python -m release PART…`: makes the parts of a release, into dist/, and prints each file with digest and size.

`all`, the default, makes every part from an empty dist/. The parts are modules of this package, each with a function
`make(plan)` that returns its files.
"""

import argparse
import importlib
import os
import re
import sys
from pathlib import Path

from release.checksums import TRIAL, describe
from release.errors import ReleaseError
from release.plan import ROOT, Plan, read_plan, uncommitted

# Names of artefacts, of this version and of others.
OURS = re.compile(r"authproxy[-_]|(SHA256SUMS|TRIAL)$")

# In the order in which they are made: the SBOM describes the wheel, the image contains it, the sums list all.
PARTS = ("wheel", "sbom", "image", "chart", "checksums")


def main(arguments: list[str]) -> int:
    """Make the parts that are named. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m release", description="Make what is released, into dist/.")
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, "all"], default="all", metavar="PART", help=", ".join(PARTS)
    )
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="the folder for the artefacts (default: dist)")
    parser.add_argument(
        "--trial",
        action="store_true",
        default=os.environ.get("TRIAL", "0") not in ("", "0"),
        help="accept uncommitted files and a CHANGELOG.md without this version (also: TRIAL=1)",
    )
    given = parser.parse_args(arguments)
    parts = PARTS if "all" in given.parts else tuple(part for part in PARTS if part in given.parts)
    try:
        plan = read_plan(given.dist, is_trial=given.trial)
        if not given.trial:
            check(plan)
        if parts == PARTS:
            remove_previous(plan.dist)
        mark(plan)
        for part in parts:
            print(describe(importlib.import_module(f"release.{part}").make(plan)), flush=True)
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


def check(plan: Plan) -> None:
    """Raises ReleaseError unless everything is committed and the changelog has a section of the version."""
    if files := uncommitted(plan.root):
        shown = "\n".join(files[:10])
        raise ReleaseError(
            f"these files are not committed, so nobody else could make the same release:\n{shown}\n"
            "Commit them, or make a trial with TRIAL=1."
        )
    if (tag := os.environ.get("RELEASE_TAG")) and tag != f"v{plan.version}":
        raise ReleaseError(
            f"the tag {tag} is not v{plan.version}, the version in authproxy/__init__.py: tag the commit that has it"
        )
    changelog = (plan.root / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## {re.escape(plan.version)}(?![\w.])", changelog, re.MULTILINE):
        raise ReleaseError(
            f"CHANGELOG.md has no section `## {plan.version}`, the version in authproxy/__init__.py: "
            "rename `## Unreleased`, or make a trial with TRIAL=1."
        )


def mark(plan: Plan) -> None:
    """Write the file TRIAL beside what a trial makes. Raises ReleaseError for a part of a release beside a trial's."""
    marker = plan.dist / TRIAL
    if plan.is_trial:
        marker.write_text(f"Built by a trial from {plan.revision}: not to be published. Make a release: make release\n")
    elif marker.exists():
        raise ReleaseError(f"{plan.dist} has the artefacts of a trial; make all of them again: make release")


def remove_previous(dist: Path) -> None:
    """Remove the artefacts of an earlier build. Raises ReleaseError, and removes none, if there is another file."""
    files = sorted(dist.iterdir())
    if others := [file.name for file in files if not OURS.match(file.name) or not file.is_file()]:
        raise ReleaseError(f"{dist} has something that is no part of a release, {others[0]}: move it away")
    for file in files:
        file.unlink()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
