"""Storms one after another on the same folder, from a new seed each time, until the time is over."""

import logging
import random
import time
from pathlib import Path

from tests.support.aftermath import find_faults
from tests.support.server import running_server
from tests.support.storm import Storm

log = logging.getLogger(__name__)

STORM_S = 60.0
LIVES_S = (1.0, 15.0)


async def test_storm_after_storm(tmp_path: Path, soak_s: float) -> None:
    end = time.monotonic() + soak_s
    with running_server(tmp_path / "server", {"REGISTRY_HTTP_WORKERS": "2"}) as server:
        storm = Storm(server, seed=random.SystemRandom().randrange(2**32))
        while (rest := end - time.monotonic()) > 0:
            await storm.rage(min(rest, STORM_S), kill_every_s=LIVES_S)
            faults = storm.faults + await find_faults(server, storm.ledger)
            assert not faults, storm.report(faults)
        log.info(storm.report([]))
