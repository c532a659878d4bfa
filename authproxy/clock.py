"""Time as an argument: what decides by it is tested without waiting."""

import time
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

# Seconds: since 1970, or of a clock that never goes back, as whoever takes it says.
Clock: TypeAlias = Callable[[], float]


# Seconds since the machine started, the time that it was suspended included: a clock that nobody can set. Where the
# system has no CLOCK_BOOTTIME (macOS), the monotonic one counts suspends. Read with each request: no frame of our own.
uptime_s: Clock = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
