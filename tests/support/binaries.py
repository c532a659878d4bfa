"""Which programs tests and benchmarks may start: those of the environment under test, and those of packages.txt.

Machines hold programs by chance: another docker in /usr/local/bin, a curl from elsewhere. What passes with these may
fail on a fresh machine, so a program is named by `binary(...)`, which knows the files of the listed packages alone.
"""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "packages.txt"

# Brings the answer about all others, so it cannot be asked about itself. Essential: every Debian has it.
DPKG_QUERY = "/usr/bin/dpkg-query"

# Where packages put programs.
FOLDERS = {Path("/bin"), Path("/sbin"), Path("/usr/bin"), Path("/usr/sbin")}

# Audit events of the standard library that start a program: where in the event's arguments its path stands.
# https://docs.python.org/3/library/audit_events.html
STARTS = {"subprocess.Popen": 0, "os.exec": 0, "os.posix_spawn": 0, "os.spawn": 1, "os.system": 0, "pty.spawn": 0}


class ProgramNotListed(Exception):
    """A program that no package of packages.txt brings; the sentence says what to do."""


@cache
def listed_packages() -> tuple[str, ...]:
    """The names in packages.txt, without comments."""
    lines = (line.partition("#")[0].strip() for line in PACKAGES.read_text().splitlines())
    return tuple(line for line in lines if line)


def binary(name: str) -> str:
    """The absolute path of a program as a listed package brings it. Raises ProgramNotListed: never a skip."""
    try:
        return _programs()[name]
    except KeyError:
        raise ProgramNotListed(
            f"no installed package of packages.txt brings the program {name!r}: "
            "run `make packages` as root, or add the package that has it to packages.txt"
        ) from None


def refuse_unlisted(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook (`sys.addaudithook`) that lets only listed programs start, however they are started.

    Raises ProgramNotListed in the one that tries.
    """
    if event not in STARTS:
        return
    program = os.fsdecode(arguments[STARTS[event]])
    if not is_allowed(program):
        raise ProgramNotListed(
            f"{program!r} is not brought by a package of packages.txt: start it as binary({Path(program).name!r}) "
            "from tests/support/binaries.py, and list its package"
        )


def is_allowed(program: str) -> bool:
    """Whether this path is a program of this environment or of a listed package. A bare name never is."""
    if not Path(program).is_absolute():
        return False
    here = _canonical(program)
    return (
        program in (sys.executable, DPKG_QUERY)
        or Path(here).parent == Path(sys.executable).parent
        or here in _programs().values()
    )


def _canonical(path: str) -> str:
    # /bin is a link to /usr/bin, and packages name either. The last part stays: it may be a link with a meaning.
    return str(Path(path).parent.resolve() / Path(path).name)


@cache
def _programs() -> dict[str, str]:
    """Every program that the installed ones of the listed packages bring: name to path."""
    if not Path(DPKG_QUERY).exists():
        raise ProgramNotListed(f"{DPKG_QUERY} is missing: the programs of the tests come from Debian packages")
    # Packages that are missing make the exit code 1; the rest is listed all the same.
    listing = subprocess.run(
        [DPKG_QUERY, "--listfiles", *listed_packages()], capture_output=True, text=True, check=False
    )
    paths = (Path(line) for line in listing.stdout.splitlines())
    return {path.name: _canonical(str(path)) for path in paths if path.parent in FOLDERS and os.access(path, os.X_OK)}
