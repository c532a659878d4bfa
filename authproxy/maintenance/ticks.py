"""Time that counts for a grace: seconds in one record, which no wrong clock can make too many.

A process that moves the record adds the time for which its own clock knows the record to have been unchanged. These
spans don't overlap, so two counts never differ by more time than has passed between them; a node that slept, or that
saw the record only once, adds nothing. It moves at most once in a tick, and only while something waits for its grace:
otherwise nothing is written. See docs/decisions/0070-run-jobs-under-leases.md.
"""

from authproxy.clock import Clock, boot_id, uptime_s
from authproxy.storage.records import Record, Records, RecordUnreadable
from authproxy.storage.state_layout import gc_tick

# The longest tick, in seconds, and how many of them a shorter grace has.
MAX_TICK_S = 3600.0
TICKS_OF_A_GRACE = 4


def tick_for(grace_s: float) -> float:
    """How long a tick should be for a grace, in seconds: a grace ends late by one tick at most."""
    return min(MAX_TICK_S, grace_s / TICKS_OF_A_GRACE)


class Ticks:
    """The time that a storage counts, in seconds. `now` never goes back and runs while suspended."""

    def __init__(
        self, records: Records, *, tick_s: float = MAX_TICK_S, now: Clock = uptime_s, boot: str | None = None
    ) -> None:
        self._records = records
        self._tick_s = tick_s
        self._now = now
        self._boot = boot or boot_id()
        self._seen: tuple[bytes, float] | None = None  # the record, and since when we know it to be unchanged

    async def begin(self) -> float:
        """A count from which time is measured: what is counted after this call has passed after its beginning.

        Raises RecordUnreadable, RecordContended, StorageFull.
        """
        return await self._move(at_once=True)

    async def advance(self) -> float:
        """The current count, after adding a tick where one has passed. Call it while something waits for its grace.

        `advance() - begin()` is never more than the time between the two, on whatever nodes they are called. Call it
        at the start of a process and then once in a tick; a node that knows of no tick that has passed adds none.
        """
        return await self._move(at_once=False)

    async def _move(self, *, at_once: bool) -> float:
        while True:
            record = await self._records.read(gc_tick())
            counted_s, now = _count_of(record), self._now()
            unchanged_s = now - self._unchanged_since(record, now)
            if record is not None and not at_once and unchanged_s < self._tick_s:
                return counted_s
            fields = {"counted_s": counted_s + unchanged_s, "boot": self._boot, "uptime_s": now}
            written = await (
                self._records.create(gc_tick(), fields) if record is None else self._records.swap(record, fields)
            )
            if written is not None:
                self._seen = written.content, now
                return counted_s + unchanged_s
            if not at_once:  # another node was faster
                return _count_of(await self._records.read(gc_tick()))

    def _unchanged_since(self, record: Record | None, now: float) -> float:
        if record is None:
            return now
        if self._seen is None or self._seen[0] != record.content:
            noted = record.fields.get("uptime_s")
            is_ours = self._boot is not None and record.fields.get("boot") == self._boot
            # A record of this boot was written by the same clock: commands that run for minutes count too.
            is_known = is_ours and isinstance(noted, int | float) and 0 <= noted <= now
            self._seen = record.content, float(noted or 0) if is_known else now
        return self._seen[1]


def _count_of(record: Record | None) -> float:
    counted_s = 0.0 if record is None else record.fields.get("counted_s")
    if not isinstance(counted_s, int | float) or isinstance(counted_s, bool) or not 0 <= counted_s < float("inf"):
        raise RecordUnreadable(
            f"the record {gc_tick()} in the storage is damaged: counted_s is {counted_s!r}; restore it from a backup,"
            " or remove it: what waits for its grace then waits longer"
        )
    return float(counted_s)
