"""What is touched is what is free, less what is left to the system."""

from pathlib import Path

import pytest

from benchmarks.content import MIB
from benchmarks.touch import touch_free_memory


@pytest.mark.parametrize(
    ("free_mib", "touched_mib"),
    [(0, 0), (1024, 0), (1024 + 255, 0), (1024 + 256, 256)],
    ids=["nothing free", "just the spare", "less than a step", "a step"],
)
def test_what_is_free_is_touched_but_for_the_spare(tmp_path: Path, free_mib: int, touched_mib: int) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemTotal: 99999999 kB\nMemFree: {free_mib * 1024} kB\nCached: 4096 kB\n")
    assert touch_free_memory(meminfo) == touched_mib * MIB
