"""Every check has a row in the reference, and no row is about anything else."""

import re
from pathlib import Path

import pytest

import authproxy.doctor
from tests.support.binaries import ROOT

PACKAGE = Path(next(iter(authproxy.doctor.__path__)))
REFERENCE = ROOT / "docs" / "reference" / "doctor.md"

# The heading, and the modules whose findings are described below it.
SECTIONS = {
    "Our configuration on this machine": ("machine/*.py",),
    "The registries behind us": ("upstream/*.py", "lists.py", "response.py", "upload.py"),
    "A registry as its clients see it": ("ping/*.py", "lists.py", "response.py", "upload.py"),
}


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_reference_has_a_row_for_each_check(heading: str) -> None:
    source = "".join(path.read_text() for pattern in SECTIONS[heading] for path in PACKAGE.glob(pattern))
    told = set(re.findall(r'Finding\(\s*Level\.\w+,\s*"([^"]+)"', source)) | set(re.findall(r'check="([^"]+)"', source))
    section = REFERENCE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = section.rpartition("\n### ")[2]
    rows = [re.findall("`([^`]+)`", line.split("|")[1]) for line in table.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in row} == told
