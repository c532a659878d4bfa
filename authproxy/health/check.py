"""One health check, and its state after several results.

The defaults are CNCF Distribution's (`health` in its configuration): every ten seconds, and the first failure counts.
It has no time-out by default; here a check without a result after ten seconds has failed.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

INTERVAL = timedelta(seconds=10)
TIMEOUT = timedelta(seconds=10)
THRESHOLD = 1


class CheckFailed(Exception):
    """Unhealthy. The text is a short reason, which /debug/health shows: no secrets."""


# Returns if the check passes, raises CheckFailed if not. It may take long: it never runs twice at a time.
Probe: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Check:
    """A probe, how often it runs, how long it may take, and how many failures in a row make it unhealthy.

    An interval or timeout of zero means the default, as does a threshold below 1.
    """

    name: str
    probe: Probe
    interval: timedelta = INTERVAL
    timeout: timedelta = TIMEOUT
    threshold: int = THRESHOLD

    @property
    def interval_s(self) -> float:
        """The interval in seconds."""
        return (self.interval or INTERVAL).total_seconds()

    @property
    def timeout_s(self) -> float:
        """The time-out in seconds."""
        return (self.timeout or TIMEOUT).total_seconds()

    def is_failing(self, state: "CheckState") -> bool:
        """Whether the failures make it unhealthy."""
        return state.failures >= max(self.threshold, 1)


@dataclass(frozen=True, slots=True)
class CheckState:
    """The state of a check: its failures in a row, and the reason of the last one."""

    failures: int = 0
    reason: str = ""

    def after(self, failure: str | None) -> "CheckState":
        """The state after one more result; None: the check passed."""
        return CheckState() if failure is None else CheckState(self.failures + 1, failure)
