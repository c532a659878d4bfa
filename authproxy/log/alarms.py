"""The faults that alerts look for, in the log at `error`: at most one line a minute for each, however many there are.

A full disk, a lost upstream, a policy that does not load. A fault is its event and its reason; `repeated` says how
often it occurred since its last line.
"""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

import structlog

from authproxy.clock import Clock

log = structlog.get_logger(__name__)

# Between two lines about one fault.
EVERY_S = 60.0
# Faults that are remembered, the last ones: a reason may hold what a client has chosen.
MAX_FAULTS = 256


@dataclass(slots=True)
class _LastLine:
    at: float
    repeated: int = 0


class Alarms:
    """Reports faults. `now` never goes back, in seconds."""

    def __init__(self, now: Clock = time.monotonic) -> None:
        self._now = now
        self._told: OrderedDict[tuple[str, str], _LastLine] = OrderedDict()
        self._lock = threading.Lock()

    def sound(self, event: str, *, reason: str, **about: object) -> None:
        """A fault has occurred, in any thread. `about` goes into its line, and does not make it another fault."""
        now, key = self._now(), (event, reason)
        with self._lock:
            told = self._told.get(key)
            if told is not None and now - told.at < EVERY_S:
                told.repeated += 1
                return
            self._told[key] = _LastLine(now)
            self._told.move_to_end(key)
            if len(self._told) > MAX_FAULTS:
                self._told.popitem(last=False)
        if told is not None and told.repeated:
            about["repeated"] = told.repeated
        log.error(event, reason=reason, **about)


sound = Alarms().sound  # one for the process, as its log is
