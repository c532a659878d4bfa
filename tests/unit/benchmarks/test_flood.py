from benchmarks.flood import FloodedWork, Floods, as_entry, cells, seen


def floods(*flooded: float) -> Floods:
    work = FloodedWork("pull-1", "MiB/s", (100.0,) * len(flooded), flooded)
    return Floods((work,), 200.0, refused=3, told_to_come_back=7, known_median_ms=4.0, known_most_ms=80.0)


def test_the_share_is_the_median_of_the_rounds() -> None:
    (work,) = floods(50.0, 90.0, 95.0).standings
    assert work.share == 0.9
    assert cells(work) == ["pull-1", "MiB/s", "100", "90.0", "90%", "80%"]


def test_pulls_must_keep_four_fifths() -> None:
    assert floods(80.0).is_within_limits()
    assert not floods(79.0).is_within_limits()


def test_programs_read_the_same_as_people() -> None:
    entry = as_entry(floods(80.0))
    assert (entry["refused"], entry["standings"][0]["share"]) == (3, 0.8)
    assert seen(floods(80.0))["of them answered 429"] == "7"
