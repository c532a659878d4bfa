"""Collectors in the model: each run is a process of its own, and virtual time passes between two."""

import contextlib

from authproxy.errors import Unavailable
from authproxy.maintenance.gc.collector import CollectOptions, Collector
from authproxy.maintenance.gc.options import Untagged
from authproxy.maintenance.gc.sweep import Superseded
from authproxy.maintenance.ticks import Ticks
from authproxy.storage import state_layout
from authproxy.storage.records import Records
from tests.model.world import World

# Longer than a run takes with all its jumps.
GRACE_S = 10_000.0
OPTIONS = CollectOptions(GRACE_S, 0.0, Untagged.REMOVE)


async def collect(world: World, options: CollectOptions = OPTIONS) -> None:
    """One run of a collector, in a process of its own."""
    made = Collector(world.driver, options, ticks=_ticks(world), sleep=world.schedule.sleep)
    with contextlib.suppress(Superseded, Unavailable):  # the next run goes on
        await made.run()


async def pass_grace(world: World, runs: int, options: CollectOptions = OPTIONS) -> None:
    """Let collectors run, each after the grace of the one before."""
    if await world.driver.sizes([state_layout.gc_enabled()]) == [None]:
        await Records(world.driver).create(state_layout.gc_enabled(), {})
    for _ in range(runs):
        await collect(world, options)
        for _ in range(2):  # time counts from the next tick on
            await _ticks(world).advance()
            world.schedule.now += GRACE_S + 1


async def age(world: World, runs: int = 1) -> None:
    """`pass_grace`, and what was pushed so far may be collected."""
    await pass_grace(world, runs)
    world.forget()


def _ticks(world: World) -> Ticks:
    return Ticks(Records(world.driver), tick_s=0.001, now=world.schedule.clock_s, boot="the same")
