"""Whether this machine's clock can be trusted with ages: a clock that has jumped ahead makes every image old.

A record in the storage has the last look at the clock. If the time since then is not what it should be, the clock has
stepped, now or then, and nothing is removed until it has been steady for a day.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from authproxy.clock import Clock, boot_id, uptime_s
from authproxy.storage.records import Fields, Records
from authproxy.storage.state_layout import retention_clock

# How long the clock must have been steady before anything is removed.
STEADY_FOR = timedelta(days=1)
# By how much the clock may differ from the time since boot, or between two machines.
TOLERANCE = timedelta(minutes=10)
# After a boot, or on another machine, the time since the last look is unknown. More than this is taken for a step.
MAX_GAP = timedelta(days=3)


class ClockLook(NamedTuple):
    """A look at the clock."""

    now: datetime
    steady_since: datetime
    why: str  # why it has not been steady for longer; empty where it was not looked at before, or has been

    @property
    def is_steady(self) -> bool:
        """Whether ages can be trusted."""
        return self.now - self.steady_since >= STEADY_FOR


def judge_clock(last: Mapping[str, Any], now: datetime, *, uptime: float, boot: str | None) -> ClockLook:
    """Compare the clock with the last look, `last` (empty: there was none)."""
    try:
        looked, since = (datetime.fromisoformat(last[key]) for key in ("looked", "steady_since"))
        passed = uptime - float(last["uptime_s"]) if boot is not None and last["boot"] == boot else None
        elapsed = now - looked
    except (KeyError, TypeError, ValueError):
        return ClockLook(now, now, "")
    if elapsed < -TOLERANCE:
        return ClockLook(now, now, f"the clock is behind the last look at {looked:%Y-%m-%dT%H:%M:%SZ}")
    if passed is None and elapsed > MAX_GAP:
        return ClockLook(now, now, f"the last look at the clock was long ago, at {looked:%Y-%m-%dT%H:%M:%SZ}")
    if passed is not None and abs(elapsed - timedelta(seconds=passed)) > TOLERANCE:
        return ClockLook(now, now, f"the clock was set since {looked:%Y-%m-%dT%H:%M:%SZ}, to another time")
    return ClockLook(now, min(since, now), "")


class SteadyClock:
    """The clock of this machine, and the record of the last look at it."""

    def __init__(self, records: Records, *, uptime: Clock = uptime_s, boot: str | None = None) -> None:
        self._records = records
        self._uptime = uptime
        self._boot = boot or boot_id()

    async def look(self, now: datetime) -> ClockLook:
        """Compare, and write nothing. Raises RecordUnreadable."""
        record = await self._records.read(retention_clock())
        return self._judge({} if record is None else record.fields, now)

    async def note(self, now: datetime) -> ClockLook:
        """Compare, and remember this look for the next one. Raises RecordUnreadable, StorageFull."""
        found: list[ClockLook] = []

        def change(last: Fields) -> Fields:
            look = self._judge(last, now)
            found.append(look)
            return {
                "looked": now.astimezone(UTC).isoformat(),
                "steady_since": look.steady_since.astimezone(UTC).isoformat(),
                "boot": self._boot,
                "uptime_s": self._uptime(),
            }

        await self._records.update(retention_clock(), change)
        return found[-1]

    def _judge(self, last: Fields, now: datetime) -> ClockLook:
        return judge_clock(last, now, uptime=self._uptime(), boot=self._boot)
