"""One question about the registry's health, and what its answers in a row come to.

The defaults are CNCF Distribution's (`health` in its configuration): every ten seconds, and the first failure counts.
It has no time-out where none is given; here a question that is not answered when the next is due has failed.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

INTERVAL = timedelta(seconds=10)
TIMEOUT = timedelta(seconds=10)
THRESHOLD = 1


class CheckFailed(Exception):
    """Not healthy. The text says why in a few words, and is shown at /debug/health: no secrets."""


# Returns where all is well, raises CheckFailed where not. It may take long: it is asked again only when it has ended.
Probe: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Check:
    """A probe, how often it is asked, how long it may take, and how many failures in a row make it unhealthy.

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

    def is_failing(self, standing: "CheckState") -> bool:
        """Whether the failures are enough to call it unhealthy."""
        return standing.failures >= max(self.threshold, 1)


@dataclass(frozen=True, slots=True)
class CheckState:
    """The state of a check: its failures in a row, and the reason of the last one."""

    failures: int = 0
    reason: str = ""

    def after(self, failure: str | None) -> "CheckState":
        """The state after one more result; None: the check passed."""
        return CheckState() if failure is None else CheckState(self.failures + 1, failure)
