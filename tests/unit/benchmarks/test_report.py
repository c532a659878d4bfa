import json
from dataclasses import replace

import pytest

from benchmarks.big_blob import LIMIT_MIB, Passage
from benchmarks.compare import Figures, Row
from benchmarks.images import Comparison, Side
from benchmarks.images import Sizes as ImageSizes
from benchmarks.limits import DURABLE_WRITE
from benchmarks.marking import Sizes as MarkingSizes
from benchmarks.report import Report, as_json, as_text
from benchmarks.scale import CatalogStep, Scale, Sizes, TagStep
from benchmarks.works import WORKS, Effort, Work

EFFORT = Effort(
    rounds=3,
    big_mib=1,
    wrk_s=1,
    small_pushes=1,
    passage_mib=1,
    worker_rounds=1,
    weight_rounds=1,
    scale=Sizes(tags=(10,), blobs_mib=(1,), repositories=1, catalog_pages=1),
    images=ImageSizes(repositories=1, tags_of_each=1, copy_mib=1, rounds=1),
    markings=MarkingSizes(written=1, generated=1, repositories=1),
)
PUSH = WORKS[0]
LIMITS = {DURABLE_WRITE: 400.0}


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
    return Report(
        "2026-01-02T03:04:05+00:00", {"cores": "2"}, {"python": "3.11"}, EFFORT, LIMITS, [row], passages=passages
    )


def scale(peak_mib: float) -> Scale:
    steps = [TagStep(100_000, page_s=1234, manifest_s=5678, push_s=90, peak_mib=70)]
    return Scale(steps, [passage(peak_mib)], CatalogStep(10_000, 20, 1.5, 2.5), start_empty_s=1, start_full_s=1.2)


def line_of(text: str, beginning: str) -> list[str]:
    return next(line.removeprefix(beginning).split() for line in text.splitlines() if line.startswith(beginning))


COMPARED = Row(PUSH, Figures([200, 300, 100], 80.0), Figures([100, 100, 100], 90.0))


def test_a_ratio_is_taken_round_by_round() -> None:
    assert COMPARED.ratios() == [2, 3, 1]


def test_the_ratio_is_not_that_of_the_medians() -> None:
    row = Row(PUSH, Figures([10, 20, 60]), Figures([1, 32, 20]))
    (work,) = json.loads(as_json(report(row)))["works"]
    assert work["ratio"] == {"median": 3, "least": 0.625, "most": 10}


def test_the_table_has_medians_ratio_spread_and_the_share_of_the_limit() -> None:
    line = line_of(as_text(report(COMPARED)), PUSH.title)
    assert line[:10] == ["MiB/s", "200", "100", "2.00", "1.00", "to", "3.00", "80", "90", "50%"]
    assert " ".join(line[10:]) == "durable write, one file"
    (work,) = json.loads(as_json(report(COMPARED)))["works"]
    assert (work["limit"], work["share_of_limit"]) == (DURABLE_WRITE, 0.5)


def test_where_the_limit_was_not_measured_there_is_no_share() -> None:
    without = report(COMPARED)
    without.limits = {}
    assert line_of(as_text(without), PUSH.title)[9] == "-"
    assert json.loads(as_json(without))["works"][0]["share_of_limit"] is None


@pytest.mark.parametrize("work", WORKS, ids=[work.name for work in WORKS])
def test_a_work_has_the_unit_of_its_limit(work: Work) -> None:
    assert work.limit.endswith(f"({work.unit})")


def test_two_workers_stand_beside_one() -> None:
    both = report(COMPARED)
    both.two_workers = [Row(PUSH, Figures([300, 500], 150.0))]
    text = as_text(both)
    assert line_of(text[text.index("two workers") :], PUSH.title) == ["MiB/s", "200", "400", "2.00", "150"]
    (entry,) = json.loads(as_json(both))["two_workers"]
    assert (entry["work"], entry["ours"]["median"]) == (PUSH.name, 400)


def test_what_grows_has_a_line_for_each_size() -> None:
    grown = report(COMPARED)
    grown.scale = scale(peak_mib=65)
    text = as_text(grown)
    assert line_of(text, "100,000 ") == ["1,234", "5,678", "90.0", "70"]
    assert line_of(text, "2,048 MiB") == ["200", "400", "60", "65", "70"]
    assert line_of(text, "first catalog page, 99 of 100 (ms)") == ["2.5"]
    entry = json.loads(as_json(grown))["scale"]
    assert (entry["tags"][0]["page_s"], entry["blobs"][0]["over_idle_mib"], entry["start_full_s"]) == (1234, 10, 1.2)


def test_a_work_without_a_peer_has_our_figure_alone() -> None:
    (work,) = json.loads(as_json(report(Row(PUSH, Figures([200])))))["works"]
    assert (work["ours"]["median"], work["peer"], work["ratio"]) == (200, None, None)


def test_memory_over_idle_is_the_larger_of_both_ways() -> None:
    assert passage(peak_mib=100).over_idle_mib == 40
    assert passage(peak_mib=65).over_idle_mib == 10


def test_memory_at_the_limit_is_too_much() -> None:
    assert report(COMPARED, passage(60 + LIMIT_MIB - 1)).is_within_limits()
    assert not report(COMPARED, passage(0), passage(60 + LIMIT_MIB)).is_within_limits()


def test_memory_that_grows_with_the_blob_is_too_much() -> None:
    grown = report(COMPARED)
    grown.scale = scale(60 + LIMIT_MIB)
    assert not grown.is_within_limits()


def test_images_are_told_beside_what_they_take_the_place_of() -> None:
    ours, skopeo = Side("authproxy", [2, 3, 4], [1, 1, 1], 53), Side("skopeo", [6, 6, 6], [2, 2, 2], 61)
    found = replace(report(COMPARED), images=[Comparison("copy of 1,024 MiB", [ours, skopeo])])
    rows = [line.split() for line in as_text(found).splitlines() if line.startswith("copy of 1,024 MiB")]
    assert [row[4:] for row in rows] == [
        ["authproxy", "3.0", "1.0", "53", "-"],
        ["skopeo", "6.0", "2.0", "61", "2.00"],
    ]
    assert json.loads(as_json(found))["images"][0]["sides"][0]["seconds"] == [2, 3, 4]
    assert found.is_within_limits()


def test_image_that_takes_too_much_memory_is_no_success() -> None:
    ours = Side("authproxy", [1], [1], LIMIT_MIB)
    assert not replace(report(COMPARED), images=[Comparison("copy", [ours])]).is_within_limits()
