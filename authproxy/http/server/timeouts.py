"""How long a client may keep a connection waiting."""

from typing import Final

# A request whose body has stopped arriving is given up after this: as long as proxies in front of registries are
# usually configured to wait. One that only arrives slowly is never given up.
STALL_S: Final = 900.0

# How often to check that it still arrives.
LOOK_S: Final = 60.0


class Patience:
    """Decides when a connection has waited long enough. Times are the event loop's, in seconds."""

    def __init__(self, keep_alive_s: float, now: float) -> None:
        """`keep_alive_s`: how long a connection is kept while it waits for its first or next request."""
        self._keep_alive_s = keep_alive_s
        self.idle_since = now
        self._moved_at = now

    def begin_idling(self, now: float) -> None:
        """A request has been answered."""
        self.idle_since = now

    def decide(self, now: float, *, is_idle: bool, waits: bool, has_moved: bool) -> float:
        """In how many seconds to ask again; 0 if the connection should end.

        `is_idle`: no request is being answered. `waits`: the request can't continue before more of its body arrives.
        `has_moved`: bytes have arrived since the last time.
        """
        if is_idle:
            self._moved_at = now
            return max(0.0, self.idle_since + self._keep_alive_s - now)
        if has_moved or not waits:
            self._moved_at = now
        return min(LOOK_S, max(0.0, self._moved_at + STALL_S - now))
