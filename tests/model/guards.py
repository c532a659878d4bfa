"""What each guard is for: with it, no order of steps loses anything; without it, some order does."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from tests.model.twins import BucketTwin, FolderTwin
from tests.model.world import Scenario, run


@dataclass(frozen=True)
class Guard:
    """A guard, and how it is switched off."""

    what: str
    scenario: Scenario
    switch_off: Callable[[pytest.MonkeyPatch], None]
    twins: Sequence[type[BucketTwin]] = (BucketTwin, FolderTwin)


def check_that_nothing_is_lost(scenario: Scenario, twin: type[BucketTwin], *, runs: int) -> None:
    """Run a scenario in so many orders."""
    for seed in range(runs):
        _, faults = asyncio.run(run(scenario, seed, twin))
        assert not faults, (seed, faults)


def check_that_something_is_lost(scenario: Scenario, twin: type[BucketTwin], *, max_steps: int) -> None:
    """Run a scenario, whose guard is switched off, until it loses something: within so many steps it must."""
    steps = seed = 0
    while steps < max_steps:
        taken, faults = asyncio.run(run(scenario, seed, twin))
        if faults:
            return
        steps += taken
        seed += 1
    pytest.fail(f"{seed} runs of {steps} steps lost nothing")
