"""Time as an argument, so that tests need not wait."""

import datetime as dt
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIME_NAMESPACE = Path("/proc/self/ns/time")
_DAY_S = 24 * 3600
_WINDOW = re.compile(r"([0-9]{2}:[0-9]{2})\s*-\s*([0-9]{2}:[0-9]{2})")

# Returns seconds: since 1970, or of a monotonic clock; the function that takes a Clock says which.
Clock: TypeAlias = Callable[[], float]


# Seconds since boot, including time suspended; cannot be set. On systems without CLOCK_BOOTTIME (macOS) the monotonic
# clock includes suspends. It is read for each request, so there is no Python frame around it.
uptime_s: Clock = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def boot_id() -> str | None:
    """The id of `uptime_s`: two of its values may be subtracted only if it was the same for both. None: unknown.

    It is that of this boot of the machine and of the time namespace: a container may have a clock of its own (Linux,
    time_namespaces(7)).
    """
    try:
        return f"{_BOOT_ID.read_text(encoding='ascii').strip()}/{_TIME_NAMESPACE.readlink()}"
    except (OSError, UnicodeDecodeError):
        return None


@dataclass(frozen=True, slots=True)
class DailyWindow:
    """A part of each day, by this machine's time zone: from `opens` to `closes`, which may be on the next day."""

    opens: dt.time
    closes: dt.time

    def __str__(self) -> str:
        return f"{self.opens:%H:%M}-{self.closes:%H:%M}"

    @property
    def length_s(self) -> float:
        """How long it is open; equal ends mean the whole day."""
        return (_of_day(self.closes) - _of_day(self.opens)) % _DAY_S or _DAY_S

    def opens_in_s(self, at: dt.time) -> float:
        """Seconds until it opens next; 0.0 while it is open."""
        since = (_of_day(at) - _of_day(self.opens)) % _DAY_S
        return 0.0 if since < self.length_s else _DAY_S - since


def parse_window(text: str) -> DailyWindow:
    """Read `02:00-05:00`. Raises ValueError."""
    if (found := _WINDOW.fullmatch(text.strip())) is not None:
        with suppress(ValueError):
            return DailyWindow(dt.time.fromisoformat(found[1]), dt.time.fromisoformat(found[2]))
    raise ValueError("not a part of the day; write 02:00-05:00")


def _of_day(at: dt.time) -> float:
    return at.hour * 3600 + at.minute * 60 + at.second
