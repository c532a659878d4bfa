"""How much memory a server holds: its processes and their children, as the kernel counts (Linux's proc(5)).

The peak is `VmHWM`, which the kernel keeps exactly, so nothing is sampled and no short peak is missed. The peaks of
several processes are added up although they need not have come at the same moment, and pages that they share are
counted in each: the figure errs upwards.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

PROC = Path("/proc")
_FORGET_PEAK = "5"  # proc(5), clear_refs: sets VmHWM back to what is resident now


def process_tree(pid: int) -> Iterator[int]:
    """A process and all that descend from it. Those that end meanwhile are left out."""
    yield pid
    try:
        for thread in (PROC / str(pid) / "task").iterdir():
            for child in (thread / "children").read_text("ascii").split():
                yield from process_tree(int(child))
    except (FileNotFoundError, ProcessLookupError):
        return


def resident_bytes(roots: Iterable[int]) -> int:
    """The memory that is resident now, over all trees that begin at `roots`."""
    return _sum(roots, "VmRSS")


def peak_bytes(roots: Iterable[int]) -> int:
    """The most that was resident since `forget_peak`, over all trees that begin at `roots`."""
    return _sum(roots, "VmHWM")


def forget_peak(roots: Iterable[int]) -> None:
    """Begin a new peak for every process in the trees. Raises PermissionError where they belong to somebody else."""
    for pid in _pids(roots):
        try:
            (PROC / str(pid) / "clear_refs").write_text(_FORGET_PEAK, "ascii")
        except (FileNotFoundError, ProcessLookupError):
            continue


def read_kib(status: str, field: str) -> int:
    """A field of /proc/PID/status in KiB; 0 where it is absent, as in a process that has ended and was not reaped."""
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0])
    return 0


def _pids(roots: Iterable[int]) -> list[int]:
    return [pid for root in roots for pid in process_tree(root)]


def _sum(roots: Iterable[int], field: str) -> int:
    total = 0
    for pid in _pids(roots):
        try:
            total += read_kib((PROC / str(pid) / "status").read_text("utf-8"), field)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total * 1024
