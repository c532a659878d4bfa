"""Memory that has been used once, before anything is measured.

A virtual machine is given most of its memory when it first writes there, and each of these pages costs its hypervisor
ten times what writing it again does: a push of 256 MiB into a fresh page cache took 0.6 s of processor time for the
copy alone, and 0.06 s a minute later (two cores, Linux 6.18 under Firecracker). That would be measured with whoever
comes first, and is nobody's speed.
"""

import mmap
import subprocess
import sys
from pathlib import Path

from benchmarks.content import MIB

# What is left to the system meanwhile, and how much is taken at a time: no allocation fails that a moment later fits.
_SPARE_BYTES = 1024 * MIB
_STEP_BYTES = 256 * MIB

# linux/mman.h: give every page a place now. Python 3.11 has no name for it; Linux has it from 5.14 on.
_MADV_POPULATE_WRITE = 23


def touch_in_a_process() -> int:
    """`touch_free_memory` in a process of its own: of what a process starts, its own peak is a part (getrusage(2))."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.touch"], capture_output=True, text=True, check=True)
    return int(done.stdout)


def touch_free_memory(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Write once to what is free now, give it back, and say how many bytes that were; 0 where the kernel can't."""
    blocks: list[mmap.mmap] = []
    try:
        for _ in range(max(0, _free_bytes(meminfo) - _SPARE_BYTES) // _STEP_BYTES):
            blocks.append(block := mmap.mmap(-1, _STEP_BYTES))
            block.madvise(_MADV_POPULATE_WRITE)
        return len(blocks) * _STEP_BYTES
    except OSError:
        return 0
    finally:
        for block in blocks:
            block.close()


def _free_bytes(meminfo: Path) -> int:
    """proc(5): what nobody uses, page cache not counted, which has been written to already."""
    for line in meminfo.read_text("ascii").splitlines():
        if line.startswith("MemFree:"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    print(touch_free_memory())
