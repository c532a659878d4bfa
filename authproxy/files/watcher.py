"""The watcher of files that change under a running server: policies, users, keys, revocations, certificates.

They are checked once a second, without subscriptions to changes: a check works on every file system (network shares
and the symlink swaps of Kubernetes' ConfigMaps included) and takes microseconds for these few files.
See docs/decisions/0006-look-at-files-once-a-second.md.

Each part has a thread of its own, so that a file system that does not answer delays nothing else. Some parts can take
access away; if one of those could not be checked for MAX_AGE_S, requests are refused. Some must be looked at before an
answer that relies on them, if that was too long ago: after the process was stopped, no thread has looked yet.
See docs/decisions/0042-refuse-what-was-not-looked-at.md.
"""

import asyncio
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from authproxy.clock import Clock, uptime_s
from authproxy.errors import RegistryError, StartError
from authproxy.files.reload import DoesNotLoad, LookedAtFirst, Reloadable
from authproxy.log.alarms import sound

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
# How long the content of the last successful check may be used.
MAX_AGE_S = 60.0
# How long a request waits for a look that it needs, and how long the start waits, in seconds.
LOOKS_WITHIN_S, FIRST_LOOKS_WITHIN_S = 2.0, 10.0


@dataclass(slots=True, eq=False)
class _Watched:
    """One part, and the results of its checks. Written by its thread, read by others."""

    part: Reloadable
    name: str
    looked_at: float  # when the last successful check began
    failures: int = 0  # failed checks
    fault: str | None = None  # of the last check
    is_overdue: bool = False  # as of the last report
    look: asyncio.Task[None] | None = None  # the last one that a request needed
    tried_at: float = -math.inf  # when that began
    thread: threading.Thread | None = None
    ends: threading.Event = field(default_factory=threading.Event)


class Watch:
    """Checks parts, and knows when each was last checked. `now` never goes back, and runs while suspended."""

    def __init__(self, *, now: Clock = uptime_s, every_s: float = LOOK_EVERY_S, max_age_s: float = MAX_AGE_S) -> None:
        self._now = now
        self._every_s = every_s
        self._max_age_s = max_age_s
        self._watched: list[_Watched] = []
        self._good_until = math.inf  # no part that takes access away is overdue before; perhaps none for longer
        self._current_until = math.inf  # no part needs a look before it is relied on; perhaps none for longer

    def __repr__(self) -> str:
        return f"Watch({[watched.name for watched in self._watched]}, overdue={list(self.overdue())})"

    async def first_looks(self, parts: Sequence[Reloadable]) -> None:
        """Read what isn't read when it is made. A part that can't be read is overdue: requests are refused."""
        for part in parts:
            if isinstance(part, LookedAtFirst):
                try:
                    async with asyncio.timeout(FIRST_LOOKS_WITHIN_S):
                        await part.look()
                except Exception as exc:  # noqa: BLE001 - the next look is due in a second
                    sound("not read yet, requests are refused", reason=_reason(exc), part=part.part)

    def start(self, parts: Sequence[Reloadable]) -> None:
        """Begin to check. All parts count as checked now, except those that `first_looks` could not read."""
        now = self._now()
        self._watched = [_Watched(part, name, self._began(part, now)) for name, part in _named(parts)]
        self._good_until = self._current_until = -math.inf
        for watched in self._watched:
            self._start(watched)

    def stop(self) -> None:
        """Stop checking. A check that hangs is left behind, so that it does not delay the end."""
        for watched in self._watched:
            watched.ends.set()
        for watched in self._watched:
            # Not one that waits for the event loop, which waits here.
            if watched.thread is not None and not isinstance(watched.part, LookedAtFirst):
                watched.thread.join(timeout=self._every_s)
        self._watched = []
        self._good_until = self._current_until = math.inf

    async def supervise(self) -> None:
        """Until cancelled: restart threads that have ended, and report parts that can't be checked."""
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

    def is_current(self) -> bool:
        """Whether a request may be answered now. False: `look_first`, and ask `is_blind`. Called for every request."""
        now = self._now()
        if now < self._current_until:
            return True
        looks = [(watched.part, watched.looked_at) for watched in self._watched if watched.part.takes_access_away]
        ages_s = [part.fresh_s if isinstance(part, LookedAtFirst) else self._max_age_s for part, _ in looks]
        ends = [looked_at + age_s for (_, looked_at), age_s in zip(looks, ages_s, strict=True)]
        self._current_until = min(ends, default=math.inf)
        return now < self._current_until

    async def look_first(self) -> None:
        """Look at the parts that a request relies on and that no thread has looked at lately.

        Requests share a look, and wait LOOKS_WITHIN_S for it at most. One that failed is repeated after a second.
        """
        for watched in self._watched:
            part, now = watched.part, self._now()
            if not isinstance(part, LookedAtFirst) or now < watched.looked_at + part.fresh_s:
                continue
            if watched.look is None or (watched.look.done() and now >= watched.tried_at + self._every_s):
                watched.tried_at, watched.look = now, asyncio.create_task(self._look_now(watched, part))
            if not watched.look.done() and (wait_s := watched.tried_at + LOOKS_WITHIN_S - now) > 0:
                await asyncio.wait([watched.look], timeout=wait_s)

    async def _look_now(self, watched: _Watched, part: LookedAtFirst) -> None:
        try:
            await part.look()
        except Exception as exc:  # noqa: BLE001 - what is known counts until it is too old
            self._report(watched, _reason(exc))
        else:
            watched.looked_at = part.looked_at

    def is_blind(self) -> bool:
        """Whether a part that takes access away is overdue, so that requests are refused."""
        now = self._now()
        if now < self._good_until:
            return False
        looked_at = [watched.looked_at for watched in self._watched if watched.part.takes_access_away]
        self._good_until = min(looked_at, default=math.inf) + self._max_age_s
        return now >= self._good_until

    def overdue(self) -> dict[str, float]:
        """The parts that could not be checked for too long, each with the age of its last check, in seconds."""
        return {name: age_s for name, age_s in self._ages().items() if age_s >= self._max_age_s}

    def last_looks(self) -> Mapping[tuple[str, ...], float]:
        """When each part was last checked, in seconds since 1970 by the present clock."""
        now = time.time()
        return {(name,): now - age_s for name, age_s in self._ages().items()}

    def failures(self) -> Mapping[tuple[str, ...], float]:
        """How many checks of each part have failed."""
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
            self._report(watched, str(exc))
        except Exception as exc:  # noqa: BLE001 - whatever it was, the next check is due in a second
            self._report(watched, _reason(exc))
        else:
            watched.looked_at = watched.part.looked_at if isinstance(watched.part, LookedAtFirst) else began
            watched.fault = None

    def _began(self, part: Reloadable, now: float) -> float:
        """When a part counts as checked at the start."""
        if isinstance(part, LookedAtFirst) and part.looked_at == -math.inf:
            return now - self._max_age_s
        return now

    def _report(self, watched: _Watched, fault: str) -> None:
        watched.failures += 1
        watched.fault = fault
        sound("not reloaded, the old content stays in force", reason=fault, part=watched.name)


def _reason(exc: Exception) -> str:
    return str(exc) if isinstance(exc, StartError | RegistryError) else repr(exc)


def _named(parts: Sequence[Reloadable]) -> Iterator[tuple[str, Reloadable]]:
    """The parts with distinct names: the second of one name is called `<name> 2`."""
    seen: dict[str, int] = {}
    for part in parts:
        seen[part.part] = count = seen.get(part.part, 0) + 1
        yield (part.part if count == 1 else f"{part.part} {count}"), part
