"""The wheel and the source distribution, by hatchling: SOURCE_DATE_EPOCH makes two builds the same bytes."""

import os
import subprocess
import sys
from pathlib import Path

from release.errors import ReleaseError
from release.plan import Plan


def make(plan: Plan) -> list[Path]:
    """Build both, the wheel from the unpacked source distribution, so that it has what the wheel needs."""
    stem = f"authproxy_registry-{plan.version}"
    files = [plan.dist / f"{stem}.tar.gz", plan.dist / f"{stem}-py3-none-any.whl"]
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(plan.dist), str(plan.root)]
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(plan.epoch)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"the wheel cannot be built:\n{done.stdout}{done.stderr}")
    if missing := [file.name for file in files if not file.exists()]:
        raise ReleaseError(f"the build made no {missing[0]}")
    return files
