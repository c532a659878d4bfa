"""Time that counts for a grace: ticks of one record, which no wrong clock can make too long.

A process that moves the record adds the time for which its own clock knows the record to have been unchanged. These
spans don't overlap, so their sum is never more than has passed; a node that slept, or that saw the record only once,
adds nothing. The record moves at most once in a tick, and only while something waits for its grace: otherwise nothing
is written. In a tick, each boot of a machine notes when it first saw the record, for the commands that come after.
See docs/decisions/0070-run-jobs-under-leases.md.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authproxy.clock import Clock, boot_id, uptime_s
from authproxy.storage.records import Record, Records, RecordUnreadable
from authproxy.storage.state_layout import gc_tick

# The longest tick, in seconds, and how many of them a shorter grace has.
MAX_TICK_S = 3600.0
TICKS_OF_A_GRACE = 4
# Ticks whose counts are kept: what waits for longer waits longer than it must.
MAX_KEPT = 1000
# Boots that a tick notes.
MAX_BOOTS = 16


def tick_for(grace_s: float) -> float:
    """How long a tick should be for a grace, in seconds: a grace ends late by two ticks at most."""
    return min(MAX_TICK_S, grace_s / TICKS_OF_A_GRACE)


@dataclass(frozen=True, slots=True)
class Count:
    """What is counted: the number of the current tick, and the time that was counted when each tick began."""

    tick: int
    began_s: Mapping[int, float]

    def since_s(self, tick: int) -> float:
        """The time that has passed at least since `tick` was read as the current one, in seconds.

        Counted from the next tick on: the tick itself may have begun long before it was read.
        """
        following = min((number for number in self.began_s if number > tick), default=None)
        return 0.0 if following is None else self.began_s[self.tick] - self.began_s[following]


class Ticks:
    """The ticks of one storage. `now` never goes back and runs while suspended."""

    def __init__(
        self, records: Records, *, tick_s: float = MAX_TICK_S, now: Clock = uptime_s, boot: str | None = None
    ) -> None:
        self._records = records
        self._tick_s = tick_s
        self._now = now
        self._boot = boot or boot_id()
        self._seen: tuple[object, float] | None = None  # a tick, and since when we know it to be the current one

    async def read(self) -> Count:
        """The current count. Its `tick` is what to remember of now. Raises RecordUnreadable."""
        return _count_of(await self._records.read(gc_tick()))

    async def advance(self) -> Count:
        """The current count, after beginning a tick if one is due. Call it while something waits for its grace.

        Call it at the start of a process and then once in a tick. Raises RecordUnreadable, StorageFull.
        """
        record = await self._records.read(gc_tick())
        count, now = _count_of(record), self._now()
        unchanged_s = now - self._unchanged_since(record, now)
        if record is not None and unchanged_s < self._tick_s:
            await self._note(record, now - unchanged_s)
            return count
        written = await self._move(record, count, unchanged_s, now)
        if written is None:  # another node was faster
            return await self.read()
        self._seen = written.fields["name"], now
        return _count_of(written)

    async def _move(self, record: Record | None, count: Count, unchanged_s: float, now: float) -> Record | None:
        counted_s = count.began_s[count.tick] + unchanged_s if record is not None else 0.0
        began_s = [*count.began_s.items(), (count.tick + 1, counted_s)][-MAX_KEPT:]
        fields = {
            "tick": count.tick + 1,
            "began_s": began_s,
            "name": secrets.token_hex(8),
            "seen": {self._boot: now} if self._boot else {},
        }
        if record is None:
            return await self._records.create(gc_tick(), fields)
        return await self._records.swap(record, fields)

    async def _note(self, record: Record, since: float) -> None:
        """Note since when this boot knows the tick. If another node is faster, the next look does it."""
        seen = _seen_of(record)
        if self._boot and self._boot not in seen:
            noted = [*seen.items(), (self._boot, since)][-MAX_BOOTS:]
            await self._records.swap(record, {**record.fields, "seen": dict(noted)})

    def _unchanged_since(self, record: Record | None, now: float) -> float:
        if record is None:
            return now
        name = record.fields.get("name")
        if self._seen is None or self._seen[0] != name:
            noted = _seen_of(record).get(self._boot) if self._boot else None
            # What this boot has noted was read from the same clock: commands that run for minutes count too.
            self._seen = name, noted if isinstance(noted, int | float) and 0 <= noted <= now else now
        return self._seen[1]


def _seen_of(record: Record) -> dict[str, Any]:
    seen = record.fields.get("seen")
    return seen if isinstance(seen, dict) else {}


def _count_of(record: Record | None) -> Count:
    if record is None:
        return Count(0, {})
    try:
        began_s = {_tick(number): _seconds(counted) for number, counted in record.fields["began_s"]}
        return Count(max(began_s), dict(sorted(began_s.items())))
    except (KeyError, TypeError, ValueError):
        raise RecordUnreadable(
            f"the record {gc_tick()} in the storage is damaged; restore it from a backup, or remove it: what waits for"
            " its grace then waits longer"
        ) from None


def _tick(number: object) -> int:
    if isinstance(number, int) and not isinstance(number, bool) and number >= 1:
        return number
    raise ValueError


def _seconds(counted: object) -> float:
    if isinstance(counted, int | float) and not isinstance(counted, bool) and 0 <= counted < float("inf"):
        return counted
    raise ValueError
