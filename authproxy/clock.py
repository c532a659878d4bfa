"""Time as an argument: what decides by it is tested without waiting."""

import time
from collections.abc import Callable
from typing import TypeAlias

# Seconds: since 1970, or of a clock that never goes back, as whoever takes it says.
Clock: TypeAlias = Callable[[], float]


def uptime_s() -> float:
    """Seconds since the machine started, the time that it was suspended included. Nobody can set this clock."""
    return time.clock_gettime(_BOOTTIME)


# Where the system has no clock that counts suspends (macOS counts them in this one).
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
