"""The markings that are measured: the written and the generated storage are the same."""

from pathlib import Path

from benchmarks.marking import LIMIT_MIB, Sizes, measure_markings, rows


def test_written_and_generated_storages_are_marked_alike(tmp_path: Path) -> None:
    costs = measure_markings(tmp_path / "run", Sizes(1000, 1000, 5), tell=lambda _: None)
    assert [cost.name for cost in costs] == [
        f"{name}, {what}"
        for name in ("folder", "generated")
        for what in ("untagged: keep", "untagged: remove", "usage")
    ]
    assert {(cost.blobs, cost.tags) for cost in costs} == {(1000, 98)}
    assert [cost.candidates for cost in costs] == [4, 44, 0, 4, 44, 0]
    assert all(cost.over_idle_mib < LIMIT_MIB for cost in costs)
    assert len(rows(costs)) == 6
    assert list((tmp_path / "run").iterdir()) == []
