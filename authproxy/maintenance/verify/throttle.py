"""A limit of bytes a second, so that reading everything leaves the disk to others."""

import asyncio
from collections.abc import Awaitable, Callable

from authproxy.clock import Clock, uptime_s


class Throttle:
    """Lets `rate` bytes a second pass (None: any number), counted for all tasks together."""

    def __init__(
        self,
        rate: int | None,
        *,
        now: Clock = uptime_s,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._rate = rate
        self._now = now
        self._sleep = sleep
        self._free_at = 0.0

    async def take(self, count: int) -> None:
        """Wait until so many bytes may be read."""
        if self._rate is None:
            return
        now = self._now()
        begin = max(self._free_at, now)
        self._free_at = begin + count / self._rate
        if begin > now:
            await self._sleep(begin - now)
