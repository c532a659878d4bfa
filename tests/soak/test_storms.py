"""Storms one after another on the same folder, from a new seed: 200 kills, and until the time is over."""

import logging
import os
import random
import time
from pathlib import Path

from tests.support.aftermath import collect_to_the_end, find_faults
from tests.support.server import running_server
from tests.support.storm import Storm

log = logging.getLogger(__name__)

KILLS = int(os.environ.get("AUTHPROXY_SOAK_KILLS", "200"))
KILLS_OF_ONE = 20  # between two looks
STORM_S = 60.0
# A kill falls into a start of the collectors, or after some graces.
LIVES_S = (0.3, 4.0)


async def test_storm_after_storm(tmp_path: Path, soak_s: float) -> None:
    begun = time.monotonic()
    with running_server(tmp_path / "server", {"REGISTRY_HTTP_WORKERS": "2"}) as server:
        storm = Storm(server, seed=int(os.environ.get("AUTHPROXY_SOAK_SEED", random.SystemRandom().randrange(2**32))))
        log.info("seed %d", storm.seed)
        while storm.lives < KILLS or time.monotonic() - begun < soak_s:
            await storm.rage(STORM_S, kill_every_s=LIVES_S, kills=KILLS_OF_ONE)
            faults = storm.faults + await find_faults(server, storm.ledger)
            faults += await collect_to_the_end(server, storm.ledger)
            assert not faults, storm.report(faults)
            log.info("%.0f s: %s, %s", time.monotonic() - begun, storm.report([]), storm.removed())
