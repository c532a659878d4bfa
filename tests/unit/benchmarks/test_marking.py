"""What is measured of a storage: the written and the generated one are the same."""

from pathlib import Path

from benchmarks.marking import LIMIT_MIB, Sizes, measure_markings, rows


def test_written_and_generated_storages_are_marked_alike(tmp_path: Path) -> None:
    costs = measure_markings(tmp_path / "run", Sizes(1000, 1000, 5), tell=lambda _: None)
    what = ("untagged: keep", "untagged: remove", "usage")
    verify = "folder, verify --sample 1%"
    assert [cost.name for cost in costs] == [
        *(f"folder, {each}" for each in what),
        verify,
        *(f"generated, {each}" for each in what),
    ]
    marked = [cost for cost in costs if cost.name != verify]
    assert {(cost.blobs, cost.tags) for cost in marked} == {(1000, 98)}
    assert [cost.candidates for cost in marked] == [4, 44, 0, 4, 44, 0]
    [verified] = [cost for cost in costs if cost.name == verify]
    assert 0 < verified.blobs < 50
    assert all(cost.over_idle_mib < LIMIT_MIB for cost in costs)
    assert len(rows(costs)) == 7
    assert list((tmp_path / "run").iterdir()) == []
