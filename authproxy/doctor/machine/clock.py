"""Is the clock right, as far as this machine knows."""

import ctypes
from collections.abc import Callable, Iterator

from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.machine.installation import Installation

# adjtimex(2): its result if nothing sets the clock; the size of `struct timex`, which is not read.
_UNSYNCHRONIZED = 5
_TIMEX_BYTES = 208
# This program is younger.
EARLIEST = 1_767_225_600.0  # 2026-01-01


def is_synchronized() -> bool | None:
    """Whether something sets the kernel's clock (NTP); None if it does not say. Changes nothing."""
    try:
        state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _UNSYNCHRONIZED


def check_clock(installation: Installation, look: Callable[[], bool | None] = is_synchronized) -> Iterator[Finding]:
    """Tokens contain times; verifiers tolerate a minute."""
    if installation.now < EARLIEST:
        what = "the clock is earlier than this program: all certificates and tokens are refused"
        yield Finding(Level.FAILED, "clock", what, "set it: timedatectl set-ntp true")
        return
    match look():
        case True:
            yield Finding(Level.OK, "clock", "the clock is synchronized (NTP)")
        case False:
            what = "nothing sets the clock (NTP), says the kernel; tokens are refused if it is a minute off"
            yield Finding(Level.WARNING, "clock", what, "timedatectl set-ntp true, or chrony")
