"""New random sequences of calls to us and to docker-registry, until the time is over."""

import logging
import time
from pathlib import Path

from hypothesis import Phase, settings

from tests.peers.conversation import converse
from tests.peers.differences import DIFFERENCES
from tests.peers.row import FORM
from tests.peers.twins import running_twins

log = logging.getLogger(__name__)

# With each batch both start anew: the catalog of docker-registry is slow where there are thousands of repositories.
BATCH = settings(max_examples=40, derandomize=False, database=None, phases=[Phase.generate])


def test_batch_after_batch(tmp_path: Path, soak_s: float) -> None:
    end = time.monotonic() + soak_s
    seen: set[str] = set()
    number = 0
    while time.monotonic() < end:
        with running_twins(tmp_path / str(number)) as twins:
            converse(twins, BATCH)
            seen |= twins.applied.keys()
        number += 1
    never = {entry.name for entry in DIFFERENCES} - FORM - seen
    log.info("%s sequences; never seen in them: %s", number * BATCH.max_examples, ", ".join(sorted(never)) or "none")
