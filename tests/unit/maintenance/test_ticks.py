"""Counted time is never longer than the time that has passed, whoever counts, sleeps or restarts."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.maintenance.ticks import MAX_TICK_S, Ticks, tick_for
from authproxy.storage.memory import MemoryDriver
from authproxy.storage.records import Records, RecordUnreadable
from authproxy.storage.state_layout import gc_tick


class Hand:
    """A clock that is moved by hand; each node's began at another time."""

    def __init__(self) -> None:
        self.at = 0.0

    def of_node(self, offset: float) -> "Node":
        return Node(self, offset)


class Node:
    def __init__(self, time: Hand, offset: float) -> None:
        self._time, self._offset = time, offset

    def __call__(self) -> float:
        return self._time.at + self._offset


def ticks(driver: MemoryDriver, now: Node, boot: str, tick_s: float = 100.0) -> Ticks:
    return Ticks(Records(driver), tick_s=tick_s, now=now, boot=boot)


async def test_one_node_counts_what_passes() -> None:
    driver, time = MemoryDriver(), Hand()
    one = ticks(driver, time.of_node(5), "a")
    began = await one.begin()
    for time.at in range(0, 1001, 10):
        counted = await one.advance() - began
        assert time.at - 100 <= counted <= time.at


async def test_nothing_is_written_between_two_ticks() -> None:
    driver, time = MemoryDriver(), Hand()
    one = ticks(driver, time.of_node(5), "a")
    await one.begin()
    [before] = await driver.read([gc_tick()])
    for time.at in (1, 50, 99):
        await one.advance()
    assert await driver.read([gc_tick()]) == [before]


async def test_commands_of_one_boot_count_from_one_to_the_next() -> None:
    driver, time = MemoryDriver(), Hand()
    began = await ticks(driver, time.of_node(5), "a").begin()
    time.at = 5000
    assert await ticks(driver, time.of_node(5), "a").advance() - began == 5000


async def test_a_node_that_was_not_there_counts_only_what_it_saw() -> None:
    driver, time = MemoryDriver(), Hand()
    began = await ticks(driver, time.of_node(5), "a").begin()
    time.at = 5000
    other = ticks(driver, time.of_node(1e9), "b")
    assert await other.advance() == began
    time.at = 5150
    assert await other.advance() - began == 150


@given(st.integers(0, 10**9))
async def test_two_counts_never_differ_by_more_than_has_passed(seed: int) -> None:
    """Nodes with other clocks and ticks that sleep, restart and begin graces of their own."""
    chance, driver, time = random.Random(seed), MemoryDriver(), Hand()  # noqa: S311 - not for secrets
    clocks = {boot: time.of_node(chance.uniform(0, 1e6)) for boot in "abc"}
    nodes: dict[str, Ticks] = {}
    since: list[tuple[float, float]] = []
    for _ in range(60):
        time.at += chance.choice([0, 1, 40, 100, 5000])
        boot = chance.choice("abc")
        if boot not in nodes or chance.random() < 0.2:
            nodes[boot] = ticks(driver, clocks[boot], boot, tick_s=chance.choice([10.0, 100.0, 3600.0]))
        if chance.random() < 0.3:
            since.append((time.at, await nodes[boot].begin()))
        counted = await nodes[boot].advance()
        for began_at, began in since:
            assert counted - began <= time.at - began_at + 1e-6


async def test_a_node_with_a_damaged_record_says_how_to_go_on() -> None:
    driver, time = MemoryDriver(), Hand()
    for wrong in (None, "5", -1, True, float("inf"), float("nan")):
        await driver.delete(gc_tick())
        await Records(driver).create(gc_tick(), {"counted_s": wrong})
        with pytest.raises(RecordUnreadable, match=r"authproxy/v1/gc/tick .*remove it"):
            await ticks(driver, time.of_node(0), "a").advance()


def test_a_short_grace_has_several_ticks() -> None:
    assert tick_for(60) == 15
    assert tick_for(72 * 3600) == MAX_TICK_S
