"""Running a program to its end: what it said and how it ended, in an environment that holds nothing by chance."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support import warm

DEBIAN_PATH = warm.DEBIAN_PATH


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All that it said."""
        return self.out + self.err

    def __str__(self) -> str:
        return f"$ {' '.join(self.argv)}\n{self.out}{self.err}exit code {self.code}"


def environment(home: Path, **settings: str) -> dict[str, str]:
    """The variables of a program: a home of its own, Debian's PATH, and `settings`; none of this process'."""
    return {"HOME": str(home), "PATH": DEBIAN_PATH, "LC_ALL": "C.UTF-8", "TMPDIR": str(home)} | settings


def run(
    *argv: str, env: Mapping[str, str], stdin: str = "", cwd: Path | None = None, timeout_s: float = 120
) -> Outcome:
    """Run a program to its end, ours by a warm start. Raises TimeoutExpired, after killing it, where it is late."""
    if warm.is_ours(argv, env):
        return Outcome(argv, *warm.run(argv, env=env, stdin=stdin, folder=cwd or Path.cwd(), timeout_s=timeout_s))
    done = subprocess.run(
        argv, env=env, input=stdin, cwd=cwd, timeout=timeout_s, capture_output=True, text=True, check=False
    )
    return Outcome(argv, done.returncode, done.stdout, done.stderr)


def succeed(
    *argv: str, env: Mapping[str, str], stdin: str = "", cwd: Path | None = None, timeout_s: float = 120
) -> Outcome:
    """Run a program that must end well; its words are in the AssertionError where it does not."""
    outcome = run(*argv, env=env, stdin=stdin, cwd=cwd, timeout_s=timeout_s)
    assert outcome.code == 0, str(outcome)
    return outcome
