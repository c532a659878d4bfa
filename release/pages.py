"""`python -m release.pages REMOTE`: puts the site of this version on the local branch gh-pages, beside those of REMOTE.

mike does it. A patch release replaces the pages of its minor version. `latest` goes to a newer version, never to an
older one, and not to a release candidate unless it is the first.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.version import Version

from release.errors import ReleaseError
from release.plan import ROOT, read_version
from release.program import run

MIKE = str(Path(sys.executable).with_name("mike"))
LATEST = "latest"


def main(remote: str) -> int:
    """Commit the pages. Returns the exit code."""
    version = read_version(ROOT)
    minor = version.rpartition(".")[0]
    try:
        there = json.loads(run(MIKE, "list", "--json", "--remote", remote, cwd=ROOT))
        aliases = [LATEST] if becomes_latest(version, there) else []
        run(MIKE, "deploy", "--remote", remote, "--alias-type", "copy", "--update-aliases", minor, *aliases, cwd=ROOT)
        if aliases:
            run(MIKE, "set-default", "--remote", remote, LATEST, cwd=ROOT)
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    print(f"gh-pages: {minor}", *aliases)
    return 0


def becomes_latest(version: str, there: Iterable[Mapping[str, Any]]) -> bool:
    """Whether `latest` goes to a version, with the entries of mike's versions.json that are there already."""
    ours = Version(version)
    latest = [Version(entry["version"]) for entry in there if LATEST in entry["aliases"]]
    return not latest or (Version(version.rpartition(".")[0]) >= latest[0] and not ours.is_prerelease)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
