"""Counted time is never longer than the time that has passed, whichever process counts, sleeps or restarts."""

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


async def test_one_node_counts_what_passes_less_a_tick_or_two() -> None:
    driver, time = MemoryDriver(), Hand()
    one = ticks(driver, time.of_node(5), "a")
    began = (await one.advance()).tick
    for time.at in range(0, 1001, 10):
        counted = (await one.advance()).since_s(began)
        assert time.at - 200 <= counted <= time.at


async def test_nothing_is_written_between_two_ticks_and_by_reading() -> None:
    driver, time = MemoryDriver(), Hand()
    one = ticks(driver, time.of_node(5), "a")
    assert (await one.read()).tick == 0
    assert await driver.read([gc_tick()]) == [None]
    await one.advance()
    [before] = await driver.read([gc_tick()])
    for time.at in (1, 50, 99):
        await one.advance()
    time.at = 1000
    await one.read()
    assert await driver.read([gc_tick()]) == [before]


async def test_commands_of_one_boot_count_from_one_to_the_next() -> None:
    driver, time = MemoryDriver(), Hand()
    began = (await ticks(driver, time.of_node(5), "a").advance()).tick
    time.at = 5000
    await ticks(driver, time.of_node(5), "a").advance()
    time.at = 10000
    assert (await ticks(driver, time.of_node(5), "a").advance()).since_s(began) == 5000


async def test_commands_count_after_a_reboot_and_beside_those_of_another_machine() -> None:
    driver, time = MemoryDriver(), Hand()
    began = (await ticks(driver, time.of_node(5), "a").advance()).tick
    time.at = 1000
    for boot in ("b", "c", "b", "c"):  # all within a tick of what b has seen
        await ticks(driver, time.of_node(9 if boot == "b" else 77), boot).advance()
        time.at += 20
    time.at = 5000
    await ticks(driver, time.of_node(9), "b").advance()
    time.at = 6000
    assert (await ticks(driver, time.of_node(9), "b").advance()).since_s(began) == 1000


async def test_a_record_that_was_lost_counts_for_nothing_before_it() -> None:
    """Also where the new record has the same number."""
    driver, time = MemoryDriver(), Hand()
    one = ticks(driver, time.of_node(5), "a")
    await one.advance()
    await driver.delete(gc_tick())
    time.at = 5000
    await ticks(driver, time.of_node(7), "b").advance()
    began = (await one.read()).tick
    await one.advance()
    time.at = 5100
    await one.advance()
    time.at = 5200
    assert (await one.advance()).since_s(began) == 100


async def test_a_time_in_which_nobody_counted_counts_for_nothing_that_began_after_it() -> None:
    driver, time = MemoryDriver(), Hand()
    one = ticks(driver, time.of_node(5), "a")
    await one.advance()
    time.at = 10**6  # nothing waited
    deleted_at = (await one.read()).tick
    assert (await one.advance()).since_s(deleted_at) == 0
    time.at += 100
    assert (await one.advance()).since_s(deleted_at) == 100


async def test_a_node_that_was_not_there_counts_only_what_it_saw() -> None:
    driver, time = MemoryDriver(), Hand()
    began = (await ticks(driver, time.of_node(5), "a").advance()).tick
    time.at = 5000
    other = ticks(driver, time.of_node(1e9), "b")
    assert (await other.advance()).tick == began
    time.at = 5150
    await other.advance()
    time.at = 5250
    assert (await other.advance()).since_s(began) == 100


@given(st.integers(0, 10**9))
async def test_counted_time_is_never_longer_than_what_has_passed(seed: int) -> None:
    """Nodes with other clocks and ticks that sleep and restart, a record that is lost."""
    chance, driver, time = random.Random(seed), MemoryDriver(), Hand()  # noqa: S311 - not for secrets
    clocks = {boot: time.of_node(chance.uniform(0, 1e6)) for boot in "abc"}
    nodes: dict[str, Ticks] = {}
    since: list[tuple[float, int]] = []
    for _ in range(60):
        time.at += chance.choice([0, 1, 40, 100, 5000])
        boot = chance.choice("abc")
        if boot not in nodes or chance.random() < 0.2:
            nodes[boot] = ticks(driver, clocks[boot], boot, tick_s=chance.choice([10.0, 100.0, 3600.0]))
        if chance.random() < 0.05:
            await driver.delete(gc_tick())
        since.append((time.at, (await nodes[boot].read()).tick))
        count = await nodes[boot].advance()
        for began_at, began in since:
            assert count.since_s(began) <= time.at - began_at + 1e-6


async def test_a_damaged_record_says_how_to_go_on() -> None:
    driver, time = MemoryDriver(), Hand()
    wrong: tuple[object, ...] = (None, "5", [], [[1]], [[0, 1]], [[1, -1]], [[True, 1]], [[1, float("inf")]])
    for began_s in wrong:
        await driver.delete(gc_tick())
        await Records(driver).create(gc_tick(), {"began_s": began_s})
        with pytest.raises(RecordUnreadable, match=r"authproxy/v1/gc/tick .*remove it"):
            await ticks(driver, time.of_node(0), "a").advance()


async def test_the_record_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authproxy.maintenance.ticks.MAX_KEPT", 10)
    driver, time = MemoryDriver(), Hand()
    one = ticks(driver, time.of_node(5), "a")
    for time.at in range(0, 200 * 15, 200):
        await one.advance()
    count = await one.read()
    assert (count.tick, len(count.began_s)) == (15, 10)
    assert count.since_s(3) == 200 * 9


def test_a_short_grace_has_several_ticks() -> None:
    assert tick_for(60) == 15
    assert tick_for(72 * 3600) == MAX_TICK_S
