"""Random scenarios by seed: pushes, deletions, mounts and collectors over two repositories, in a random order.

`AUTHPROXY_MODEL_RUNS` runs more seeds.
"""

import asyncio
import os

import pytest

from tests.model.random_scenarios import run_random
from tests.model.twins import BucketTwin, FolderTwin

RUNS = int(os.environ.get("AUTHPROXY_MODEL_RUNS", "200"))
FIRST_SEED = int(os.environ.get("AUTHPROXY_MODEL_FIRST", "0"))
TWINS = [BucketTwin, FolderTwin]


@pytest.mark.parametrize("twin", TWINS, ids=["bucket", "folder"])
def test_no_scenario_loses_what_was_acknowledged(twin: type[BucketTwin]) -> None:
    for seed in range(FIRST_SEED, FIRST_SEED + RUNS):
        faults = asyncio.run(run_random(seed, twin, collects_after=seed % 3 == 0))
        assert not faults, "\n".join([f"seed {seed}", *faults])
