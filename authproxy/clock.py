"""Time as an argument, so that tests need not wait."""

import time
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

# Returns seconds: since 1970, or of a monotonic clock; the function that takes a Clock says which.
Clock: TypeAlias = Callable[[], float]


# Seconds since boot, including time suspended; cannot be set. On systems without CLOCK_BOOTTIME (macOS) the monotonic
# clock includes suspends. It is read for each request, so there is no Python frame around it.
uptime_s: Clock = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
