"""The folder that workers share: who has which slot, and what is left when one dies."""

from pathlib import Path

import pytest

from authproxy.metrics.families import FAMILIES, LOGINS, REQUESTS, START_TIME, WORKERS
from authproxy.metrics.numbers import Numbers, dump, lasting, load, merge
from authproxy.metrics.slots import Slot

KEY = (REQUESTS.name, ("blob", "get", "200"))


def test_each_worker_has_a_slot_of_its_own(tmp_path: Path) -> None:
    first, second = Slot.take(tmp_path), Slot.take(tmp_path)
    first.write({KEY: [1]})
    second.write({KEY: [2]})
    assert list(first.others()) == [({KEY: [2]}, True)]
    assert list(second.others()) == [({KEY: [1]}, True)]
    first.close()
    second.close()


def test_who_replaces_a_worker_takes_its_slot_and_its_numbers(tmp_path: Path) -> None:
    dead, alive = Slot.take(tmp_path), Slot.take(tmp_path)
    dead.write({KEY: [7]})
    dead.close()
    assert list(alive.others()) == [({KEY: [7]}, False)]
    heir = Slot.take(tmp_path)
    assert heir.left_behind == {KEY: [7]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.json", "0.lock", "1.lock"]
    assert list(alive.others()) == [({KEY: [7]}, True)]
    heir.close()
    alive.close()


def test_a_slot_that_was_never_written_is_empty(tmp_path: Path) -> None:
    first, second = Slot.take(tmp_path), Slot.take(tmp_path)
    assert (first.left_behind, list(second.others())) == ({}, [])
    first.close()
    second.close()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Slot.take(tmp_path / "none")


def test_numbers_come_back_from_text_as_they_were() -> None:
    numbers: Numbers = {KEY: [1.5], (LOGINS.name, ('a "quoted" näme',)): [2, 3], (WORKERS.name, ()): [0]}
    assert load(dump(numbers)) == numbers


def test_several_are_summed_or_the_lowest_is_taken() -> None:
    one: Numbers = {KEY: [1], (START_TIME.name, ()): [500]}
    two: Numbers = {KEY: [2], (START_TIME.name, ()): [400], (LOGINS.name, ("refused",)): [1]}
    assert merge(FAMILIES, [one, two]) == {KEY: [3], (START_TIME.name, ()): [400], (LOGINS.name, ("refused",)): [1]}
    assert one == {KEY: [1], (START_TIME.name, ()): [500]}


def test_a_gauge_ends_with_its_process() -> None:
    assert lasting(FAMILIES, {KEY: [1], (WORKERS.name, ()): [1]}) == {KEY: [1]}
