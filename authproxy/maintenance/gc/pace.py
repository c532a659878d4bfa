"""How much of the time a job may work, so that requests keep theirs."""

import asyncio

from authproxy.clock import Clock, uptime_s

# Longer rests only make the work jerky, in seconds.
MAX_REST_S = 2.0
MAX_SHARE = 0.99


class Pace:
    """Rests `share` of the time: 0 never, 0.75 three seconds for each second of work. At most MAX_SHARE.

    A rest follows each batch, of about a thousand reads. Without one the event loop still gets a turn.
    """

    def __init__(self, share: float = 0.0, *, now: Clock = uptime_s) -> None:
        if not 0 <= share <= MAX_SHARE:
            raise ValueError(f"a pace rests a share of the time from 0 to {MAX_SHARE}, not {share}")
        self._factor = share / (1 - share)
        self._now = now
        self._since = now()

    async def rest(self) -> None:
        """Give others a turn, then rest for the time that the work since the last call has earned."""
        worked_s = self._now() - self._since
        await asyncio.sleep(min(worked_s * self._factor, MAX_REST_S))
        self._since = self._now()
