"""Starts the programs that a build needs."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from release.errors import ReleaseError

LAST_LINES = 20


def run(
    program: str | Path, *words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, stdin: str = ""
) -> str:
    """Run a program to its end and return what it printed. Raises ReleaseError with its last lines if it fails.

    `env` is added to the environment.
    """
    return _run(program, words, env=env, cwd=cwd, stdin=stdin).decode()


def run_bytes(program: str, *words: str) -> bytes:
    """The same for a program that prints bytes."""
    return _run(program, words)


def _run(
    program: str | Path,
    words: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str = "",
) -> bytes:
    path = shutil.which(program)
    if path is None:
        raise ReleaseError(f"the program {program} is missing: install the package that has it (packages.txt)")
    done = subprocess.run(
        [path, *words],
        env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
        cwd=cwd,
        input=stdin.encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).decode(errors="replace").splitlines()[-LAST_LINES:])
        raise ReleaseError(f"{Path(program).name} {' '.join(words)[:200]} ended with {done.returncode}:\n{said}")
    return done.stdout
