"""Use all free memory once, before anything is measured.

A virtual machine gets most of its memory at the first write, which costs its hypervisor ten times as much as a later
write: a push of 256 MiB into a new page cache took 0.6 s of CPU time for the copy alone, and 0.06 s a minute later (two
cores, Linux 6.18 under Firecracker). The side that is measured first would pay for it.
"""

import mmap
import subprocess
import sys
from pathlib import Path

from benchmarks.content import MIB

# Memory that is left to the system, and the size of one step: small enough that other allocations do not fail.
_SPARE_BYTES = 1024 * MIB
_STEP_BYTES = 256 * MIB

# linux/mman.h: populate every page now. Python 3.11 has no name for it; Linux has it from 5.14 on.
_MADV_POPULATE_WRITE = 23


def touch_in_a_process() -> int:
    """`touch_free_memory` in a process of its own, because a child's peak includes its parent's (getrusage(2))."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.touch"], capture_output=True, text=True, check=True)
    return int(done.stdout)


def touch_free_memory(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Write once to all free memory, release it, and return its size in bytes; 0 if the kernel can't."""
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
    """proc(5), MemFree: unused memory, without the page cache, which has been written to already."""
    for line in meminfo.read_text("ascii").splitlines():
        if line.startswith("MemFree:"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    print(touch_free_memory())
