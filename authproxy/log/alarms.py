"""Faults that are worth an alert, logged at `error`: at most one line a minute for each, however often it occurs.

A full disk, a lost upstream, a policy that does not load. A fault is identified by its event and its reason; `repeated`
says how often it occurred since its last line.
"""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

import structlog

from authproxy.clock import Clock

log = structlog.get_logger(__name__)

# The time between two lines about one fault.
EVERY_S = 60.0
# How many faults are remembered, the latest ones: a reason may contain text that a client chose.
MAX_FAULTS = 256


@dataclass(slots=True)
class _LastLine:
    at: float
    repeated: int = 0


class Alarms:
    """Reports faults. `now` never goes back, in seconds."""

    def __init__(self, now: Clock = time.monotonic) -> None:
        self._now = now
        self._logged: OrderedDict[tuple[str, str], _LastLine] = OrderedDict()
        self._lock = threading.Lock()

    def sound(self, event: str, *, reason: str, **about: object) -> None:
        """Report a fault, from any thread. `about` goes into its line, but does not make it another fault."""
        now, key = self._now(), (event, reason)
        with self._lock:
            last = self._logged.get(key)
            if last is not None and now - last.at < EVERY_S:
                last.repeated += 1
                return
            self._logged[key] = _LastLine(now)
            self._logged.move_to_end(key)
            if len(self._logged) > MAX_FAULTS:
                self._logged.popitem(last=False)
        if last is not None and last.repeated:
            about["repeated"] = last.repeated
        log.error(event, reason=reason, **about)


sound = Alarms().sound  # one for the process, like its log
