"""How long a client keeps an upstream's connection waiting; it is ended if others wait for the connection."""

from collections.abc import Callable

from authproxy import budget
from authproxy.clock import Clock
from authproxy.errors import RegistryError, RequestTimedOut


class Transfer:
    """One request in flight to an upstream, with the time in which its client reads or sends nothing.

    The upstream's own time does not count: it may hash gigabytes. Each transferred byte reduces the stalled time by the
    time it takes at the minimum speed, never below 0. `end` ends the exchange with an error.
    """

    __slots__ = ("_end", "_has_ended", "_now", "_stalled_s", "_waits_since")

    def __init__(self, end: Callable[[RegistryError], object], now: Clock) -> None:
        self._end = end
        self._now = now
        self._stalled_s = 0.0
        self._waits_since: float | None = None
        self._has_ended = False

    def __repr__(self) -> str:
        return f"<Transfer, stalled for {self.stalled_s():.1f} s>"

    def wait(self) -> None:
        """From now on we wait for the client."""
        self._waits_since = self._now()

    def go_on(self, moved_bytes: int) -> None:
        """The client has read or sent this many bytes."""
        if self._waits_since is not None:
            waited_s = self._now() - self._waits_since
            self._stalled_s = max(self._stalled_s + waited_s - moved_bytes / budget.LEAST_BYTES_PER_S, 0.0)
            self._waits_since = None

    def stalled_s(self) -> float:
        """How long the client has stalled, in seconds; 0 while we don't wait for it."""
        if self._waits_since is None or self._has_ended:
            return 0.0
        return self._stalled_s + self._now() - self._waits_since

    def end(self) -> None:
        """End the transfer, to free its place for others."""
        self._has_ended = True
        self._end(
            RequestTimedOut(
                f"fewer than {budget.LEAST_BYTES_PER_S} bytes a second were transferred while others waited; try again"
            )
        )
