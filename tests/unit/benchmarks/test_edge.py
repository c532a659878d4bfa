"""What the edge costs, from what the kernel says."""

import pytest

from benchmarks.edge import COLUMNS, EdgeRow, Taken, as_entry, cells, cpu_s
from benchmarks.works import WORKS

STAT = "4242 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 {user} {system} 0 0 20 0 1 0 100"


def test_cpu_time_is_that_of_all_processes_in_both_modes() -> None:
    texts = [STAT.format(user=150, system=50), STAT.format(user=100, system=0)]
    assert cpu_s(texts) == pytest.approx(cpu_s([STAT.format(user=300, system=0)]))
    assert cpu_s([]) == 0


def row() -> EdgeRow:
    taken = {
        "us": Taken([90.0, 200.0, 50.0], [1.0, 3.0, 2.0]),
        "nginx": Taken([100.0, 100.0, 100.0], [0.5, 0.5, 0.5]),
        "alone": Taken([180.0, 200.0, 200.0], [0.0, 0.0, 0.0]),
    }
    return EdgeRow(WORKS[0], taken)


def test_ratio_is_taken_in_each_round() -> None:
    assert row().ratio("us", "nginx") == pytest.approx(0.9)
    assert row().ratio("us", "alone") == pytest.approx(0.5)


def test_row_has_a_cell_for_each_column() -> None:
    assert dict(zip(COLUMNS, cells(row()), strict=True)) == {
        "work": "push, one stream",
        "unit": "MiB/s",
        "us": "90.0",
        "nginx": "100",
        "alone": "200",
        "us / nginx": "0.90",
        "us / alone": "0.50",
        "our CPU ms": "2.00",
        "nginx's CPU ms": "0.50",
    }


def test_entry_has_every_round() -> None:
    entry = as_entry(row())
    assert (entry["work"], entry["over_nginx"]) == ("push", pytest.approx(0.9))
    assert entry["us"] == {"rates": [90.0, 200.0, 50.0], "cpu_ms_a_unit": [1.0, 3.0, 2.0]}
