"""The memory of a server: its processes and their children, as the kernel counts it (proc(5) of Linux).

The peak is `VmHWM`, which the kernel keeps exactly, so nothing is sampled and no short peak is missed. The peaks of
several processes are added up, although they may be from different moments, and shared pages are counted for each
process: the figure can only be too high.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

PROC = Path("/proc")
_FORGET_PEAK = "5"  # proc(5), clear_refs: resets VmHWM to the present resident memory


def process_tree(pid: int) -> Iterator[int]:
    """A process and its descendants, without those that end meanwhile."""
    yield pid
    try:
        for thread in (PROC / str(pid) / "task").iterdir():
            for child in (thread / "children").read_text("ascii").split():
                yield from process_tree(int(child))
    except (FileNotFoundError, ProcessLookupError):
        return


def resident_bytes(roots: Iterable[int]) -> int:
    """The present resident memory of all process trees below `roots`."""
    return _sum(roots, "VmRSS")


def share_bytes(roots: Iterable[int]) -> int:
    """The present memory of all process trees below `roots`, each shared page divided by its number of processes.

    PSS. Unlike the others it counts a page that workers share once.
    """
    return _sum(roots, "Pss", "smaps_rollup")


def peak_bytes(roots: Iterable[int]) -> int:
    """The peak since `forget_peak` of all process trees below `roots`."""
    return _sum(roots, "VmHWM")


def forget_peak(roots: Iterable[int]) -> None:
    """Reset the peak of every process in the trees. Raises PermissionError for processes of another user."""
    for pid in _pids(roots):
        try:
            (PROC / str(pid) / "clear_refs").write_text(_FORGET_PEAK, "ascii")
        except (FileNotFoundError, ProcessLookupError):
            continue


def read_kib(status: str, field: str) -> int:
    """A field of /proc/PID/status in KiB; 0 if it is absent, as for a process that has ended and was not reaped."""
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0])
    return 0


def _pids(roots: Iterable[int]) -> list[int]:
    return [pid for root in roots for pid in process_tree(root)]


def _sum(roots: Iterable[int], field: str, file: str = "status") -> int:
    total = 0
    for pid in _pids(roots):
        try:
            total += read_kib((PROC / str(pid) / file).read_text("utf-8"), field)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total * 1024
