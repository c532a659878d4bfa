"""How much of the time a job may work, so that requests keep theirs."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

from authproxy.clock import Clock, uptime_s

# Longer rests only make the work jerky, in seconds.
MAX_REST_S = 2.0
MAX_SHARE = 0.99
# Records between two rests.
TURN = 512

T = TypeVar("T")


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

    async def each(self, items: Iterable[T]) -> AsyncIterator[T]:
        """These, one by one, with a rest after each TURN of them."""
        for turn, item in enumerate(items):
            if turn % TURN == 0:
                await self.rest()
            yield item
