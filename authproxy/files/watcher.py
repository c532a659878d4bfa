"""The watcher of files that change under a running server: policies, users, keys, revocations, certificates.

They are looked at once a second instead of being subscribed to: a look works on every file system (network shares
and the symlink swaps of Kubernetes' ConfigMaps included) and costs microseconds for the few files there are.
See docs/decisions/0006-look-at-files-once-a-second.md.

Each part is looked after by a thread of its own: a file system that does not answer holds up nothing else. Through some
parts access is taken away; where one of those has not been looked at for MAX_AGE_S, nobody is served by what it said
last. See docs/decisions/0042-refuse-what-was-not-looked-at.md.
"""

import asyncio
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from authproxy.clock import Clock, uptime_s
from authproxy.errors import StartError
from authproxy.files.reload import DoesNotLoad, Reloadable
from authproxy.log.alarms import sound

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
# How long a node goes on by what a part said at the last look that succeeded.
MAX_AGE_S = 60.0


@dataclass(slots=True, eq=False)
class _Watched:
    """One part, and how its looks went. Written by its thread, read by others."""

    part: Reloadable
    name: str
    looked_at: float  # when the last look that succeeded began
    failures: int = 0  # looks that failed
    fault: str | None = None  # of the last look
    is_overdue: bool = False  # as of the last report
    thread: threading.Thread | None = None
    ends: threading.Event = field(default_factory=threading.Event)


class Watch:
    """Looks after parts, and knows when each was looked at last. `now` never goes back, and runs while suspended."""

    def __init__(self, *, now: Clock = uptime_s, every_s: float = LOOK_EVERY_S, max_age_s: float = MAX_AGE_S) -> None:
        self._now = now
        self._every_s = every_s
        self._max_age_s = max_age_s
        self._watched: list[_Watched] = []
        self._good_until = math.inf  # nothing that takes access away is overdue before; it may be good for longer

    def __repr__(self) -> str:
        return f"Watch({[watched.name for watched in self._watched]}, overdue={list(self.overdue())})"

    def start(self, parts: Sequence[Reloadable]) -> None:
        """Begin to look. What was read until now counts as looked at."""
        now = self._now()
        self._watched = [_Watched(part, name, now) for name, part in _named(parts)]
        self._good_until = -math.inf
        for watched in self._watched:
            self._start(watched)

    def stop(self) -> None:
        """Look no more. A look that hangs is left behind: it holds up no end."""
        for watched in self._watched:
            watched.ends.set()
        for watched in self._watched:
            if watched.thread is not None:
                watched.thread.join(timeout=self._every_s)
        self._watched = []
        self._good_until = math.inf

    async def supervise(self) -> None:
        """Until cancelled: restart threads that have ended, and report parts that can't be looked at."""
        while True:
            await asyncio.sleep(self._every_s)
            self.look_after()

    def look_after(self) -> None:
        """One round of `supervise`."""
        overdue = self.overdue()
        for watched in self._watched:
            if watched.thread is None or not watched.thread.is_alive():
                log.error("a thread that reloads has ended, and starts again", part=watched.name)
                self._start(watched)
            if watched.name in overdue:
                watched.is_overdue = True
                sound(
                    "not looked at, so what changed since is not in force",
                    reason=watched.fault or "the look does not end",
                    part=watched.name,
                    for_s=round(overdue[watched.name]),
                    refuses=watched.part.takes_access_away,
                )
            elif watched.is_overdue:
                watched.is_overdue = False
                log.warning("looked at again", part=watched.name)

    def is_blind(self) -> bool:
        """Whether what takes access away was not looked at for too long: nobody may be served. For every request."""
        now = self._now()
        if now < self._good_until:
            return False
        looked_at = [watched.looked_at for watched in self._watched if watched.part.takes_access_away]
        self._good_until = min(looked_at, default=math.inf) + self._max_age_s
        return now >= self._good_until

    def overdue(self) -> dict[str, float]:
        """The parts that were not looked at for too long, each with how long ago that was, in seconds."""
        return {name: age_s for name, age_s in self._ages().items() if age_s >= self._max_age_s}

    def last_looks(self) -> Mapping[tuple[str, ...], float]:
        """When each part was looked at last, in seconds since 1970 by the clock of now."""
        now = time.time()
        return {(name,): now - age_s for name, age_s in self._ages().items()}

    def failures(self) -> Mapping[tuple[str, ...], float]:
        """How many looks at each part have failed."""
        return {(watched.name,): float(watched.failures) for watched in self._watched}

    def _ages(self) -> dict[str, float]:
        now = self._now()
        return {watched.name: now - watched.looked_at for watched in self._watched}

    def _start(self, watched: _Watched) -> None:
        name = f"watch {watched.name}"
        watched.thread = threading.Thread(target=self._keep_fresh, args=(watched,), name=name, daemon=True)
        watched.thread.start()

    def _keep_fresh(self, watched: _Watched) -> None:
        while not watched.ends.wait(self._every_s):
            self._look(watched)

    def _look(self, watched: _Watched) -> None:
        began = self._now()
        try:
            watched.part.refresh()
        except DoesNotLoad as exc:
            watched.looked_at = began
            self._tell(watched, str(exc))
        except Exception as exc:  # noqa: BLE001 - whatever it was, the next look is due in a second
            self._tell(watched, str(exc) if isinstance(exc, StartError) else repr(exc))
        else:
            watched.looked_at = began
            watched.fault = None

    def _tell(self, watched: _Watched, fault: str) -> None:
        watched.failures += 1
        watched.fault = fault
        sound("not reloaded, the old content stays in force", reason=fault, part=watched.name)


def _named(parts: Sequence[Reloadable]) -> Iterator[tuple[str, Reloadable]]:
    """Of several with one name the second is called `<name> 2`."""
    seen: dict[str, int] = {}
    for part in parts:
        seen[part.part] = count = seen.get(part.part, 0) + 1
        yield (part.part if count == 1 else f"{part.part} {count}"), part
