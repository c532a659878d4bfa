"""Every check that can be told of an upstream has a row in the reference, and no row is about anything else."""

import re
from pathlib import Path

import authproxy.doctor.upstream

PACKAGE = Path(next(iter(authproxy.doctor.upstream.__path__)))
REFERENCE = Path(__file__).parents[4] / "docs" / "reference" / "doctor.md"


def test_the_reference_has_a_row_for_each_check() -> None:
    source = "".join(path.read_text() for path in PACKAGE.glob("*.py"))
    told = set(re.findall(r'Finding\(\s*Level\.\w+,\s*"([^"]+)"', source)) | set(re.findall(r'check="([^"]+)"', source))
    table = REFERENCE.read_text().rpartition("### Its checks")[2]
    rows = [re.findall("`([^`]+)`", line.split("|")[1]) for line in table.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in row} == told
