import json

from benchmarks.big_blob import LIMIT_MIB, Passage
from benchmarks.compare import Figures, Row
from benchmarks.report import Report, as_json, as_text
from benchmarks.works import WORKS, Effort

EFFORT = Effort(rounds=3, big_mib=1, wrk_s=1, small_pushes=1, passage_mib=1)
PUSH = WORKS[0]


def passage(peak_mib: float) -> Passage:
    return Passage(
        through="core",
        size_mib=2048,
        idle_mib=60,
        push_peak_mib=peak_mib,
        pull_peak_mib=70,
        push_mib_s=200,
        pull_mib_s=400,
    )


def report(row: Row, *passages: Passage) -> Report:
    return Report("2026-01-02T03:04:05+00:00", {"cores": "2"}, {"python": "3.11"}, EFFORT, {}, [row], passages)


COMPARED = Row(PUSH, Figures([200, 300, 100], 80.0), Figures([100, 100, 100], 90.0))


def test_a_ratio_is_taken_round_by_round() -> None:
    assert COMPARED.ratios() == [2, 3, 1]


def test_the_ratio_is_not_that_of_the_medians() -> None:
    row = Row(PUSH, Figures([10, 20, 60]), Figures([1, 32, 20]))
    (work,) = json.loads(as_json(report(row)))["works"]
    assert work["ratio"] == {"median": 3, "least": 0.625, "most": 10}


def test_the_table_has_medians_ratio_and_spread() -> None:
    line = next(line for line in as_text(report(COMPARED)).splitlines() if line.startswith(PUSH.title))
    assert line.split()[-9:] == ["MiB/s", "200", "100", "2.00", "1.00", "to", "3.00", "80", "90"]


def test_a_work_without_a_peer_has_our_figure_alone() -> None:
    (work,) = json.loads(as_json(report(Row(PUSH, Figures([200])))))["works"]
    assert (work["ours"]["median"], work["peer"], work["ratio"]) == (200, None, None)


def test_memory_over_idle_is_the_larger_of_both_ways() -> None:
    assert passage(peak_mib=100).over_idle_mib == 40
    assert passage(peak_mib=65).over_idle_mib == 10


def test_memory_at_the_limit_is_too_much() -> None:
    assert report(COMPARED, passage(60 + LIMIT_MIB - 1)).is_within_limits()
    assert not report(COMPARED, passage(0), passage(60 + LIMIT_MIB)).is_within_limits()
