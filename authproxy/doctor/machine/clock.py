"""Is the clock right, as far as can be told without asking another one."""

import ctypes
from collections.abc import Callable, Iterator

from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.machine.installation import Installation

# adjtimex(2): what it returns where nothing sets the clock; the size of `struct timex`, of which nothing is read.
_UNSYNCHRONIZED = 5
_TIMEX_BYTES = 208
# No copy of this program was made before.
EARLIEST = 1_767_225_600.0  # 2026-01-01


def is_synchronized() -> bool | None:
    """Whether the kernel's clock is set by another one (NTP); None where it does not say. Nothing is changed."""
    try:
        state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _UNSYNCHRONIZED


def check_clock(installation: Installation, look: Callable[[], bool | None] = is_synchronized) -> Iterator[Finding]:
    """Tokens carry times: who verifies them forgives a minute."""
    if installation.now < EARLIEST:
        what = "the clock stands before this program was made: certificates and tokens are all refused"
        yield Finding(Level.FAILED, "clock", what, "set it: timedatectl set-ntp true")
        return
    match look():
        case True:
            yield Finding(Level.OK, "clock", "the clock is set by another one (NTP)")
        case False:
            what = "nothing sets the clock (NTP) by what the kernel knows; tokens are refused where it is a minute off"
            yield Finding(Level.WARNING, "clock", what, "timedatectl set-ntp true, or chrony")
