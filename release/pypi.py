"""`python -m release.pypi`: uploads the wheel and the source distribution of dist/, by twine and with its variables."""

import subprocess
import sys

from release.checksums import verify
from release.errors import ReleaseError
from release.plan import ROOT, read_version
from release.wheel import python_files


def main() -> int:
    """Upload both, and no other file of dist/. Returns the exit code."""
    files = python_files(ROOT / "dist", read_version(ROOT))
    try:
        verify(files)
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    command = [sys.executable, "-m", "twine", "upload", "--non-interactive", *map(str, files)]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
