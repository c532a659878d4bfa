import os
import subprocess
import sys

from benchmarks.footprint import forget_peak, peak_bytes, process_tree, read_kib, resident_bytes

MIB = 1 << 20
HELD_MIB = 64
# Takes memory and gives it back, says so, and waits to be told to end.
TAKE_AND_GIVE_BACK = f"""
import sys
held = b"x" * ({HELD_MIB} << 20)
del held
print("done", flush=True)
sys.stdin.read()
"""


def test_a_peak_that_has_passed_is_seen_until_it_is_forgotten() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TAKE_AND_GIVE_BACK], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"done\n"
        idle = resident_bytes([child.pid])
        assert peak_bytes([child.pid]) - idle > 0.9 * HELD_MIB * MIB
        forget_peak([child.pid])
        assert peak_bytes([child.pid]) - idle < 0.1 * HELD_MIB * MIB
        assert child.stdin is not None
        child.stdin.close()


def test_children_belong_to_the_tree() -> None:
    with subprocess.Popen([sys.executable, "-c", TAKE_AND_GIVE_BACK], stdin=subprocess.PIPE) as child:
        assert child.pid in set(process_tree(os.getpid()))
        assert child.stdin is not None
        child.stdin.close()


def test_a_process_that_is_gone_holds_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    assert resident_bytes([child.pid]) == 0


def test_a_field_is_read_by_its_whole_name() -> None:
    assert read_kib("VmHWMx:\t1 kB\nVmHWM:\t  2048 kB\n", "VmHWM") == 2048
    assert read_kib("Name:\tzombie\n", "VmHWM") == 0
