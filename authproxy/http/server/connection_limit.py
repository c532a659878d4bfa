"""The limit of a process's connections, and which of them it closes when more clients connect.

When the budget is used up, a new connection takes the place of a quiet one: a handshake or a head that makes no
progress, or a connection between two requests. The client with the most of these loses the one that has been quiet for
longest. If no connection is quiet, those are closed whose client reads or sends its body too slowly. Only if there are
none is the new connection refused. See docs/decisions/0044-make-room-for-new-connections.md.
"""

import heapq
from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol

import structlog

from authproxy.budget import (
    CLIENT_SHARE,
    LOOK_AGAIN_S,
    MADE_ROOM_SHARE,
    MEASURE_EVERY_S,
    MEASURE_FROM_SHARE,
    SLOW_BYTES_S,
)
from authproxy.clock import Clock

log = structlog.get_logger(__name__)

# At most one line in this time, in seconds, for all events since the last one.
LOG_EVERY_S: Final = 60.0

# Why a connection was closed, or not accepted: labels of the metrics.
IDLE: Final = "idle"
SLOW: Final = "slow"
SHARE: Final = "share"
BUDGET: Final = "budget"


class Holder(Protocol):
    """The owner of a connection's socket: `AwaitPreamble`, the transport, or `Linger` after its end."""

    @property
    def quiet_since(self) -> float | None:
        """Since when there is no request, in seconds of the event loop; None while one is being answered."""

    @property
    def waits_for_client(self) -> bool:
        """The request can't continue before the client sends more of it, or reads more of the response."""

    def count_moved(self) -> int | None:
        """Bytes that the client has sent and acknowledged so far; None if the system doesn't count them."""

    def evict(self) -> None:
        """Close the socket before this returns."""


class Place:
    """One connection's place, from `Admission.admit` until `free`. `client` None: it counts against no share."""

    __slots__ = ("_admission", "bytes_s", "client", "holder", "measured")

    def __init__(self, client: str | None = None, admission: "Admission | None" = None) -> None:
        self.client = client
        self.holder: Holder | None = None
        self.measured: tuple[float, int] | None = None  # when, and how many bytes had moved
        self.bytes_s: float | None = None  # their speed while we waited for the client
        self._admission = admission

    def free(self) -> None:
        """Free the place: the socket is closed. May be repeated."""
        self.holder = None
        if self._admission is not None:
            admission, self._admission = self._admission, None
            admission.release(self)


class Candidate(NamedTuple):
    """A connection that may be closed to make room."""

    client: str | None
    rank: float  # the lowest goes first: when it became quiet, or its bytes a second
    place: Place


def choose(candidates: Iterable[Candidate], count: int) -> list[Place]:
    """Choose `count` connections to close: each time the first of the client that has the most candidates left.

    Connections that count against no client's share come last.
    """
    by_client: dict[str | None, list[Candidate]] = {}
    for candidate in candidates:
        by_client.setdefault(candidate.client, []).append(candidate)
    exempt = sorted(by_client.pop(None, []), key=_rank)
    chosen: list[Place] = []
    queues = []
    for name, own in by_client.items():
        own.sort(key=_rank, reverse=True)
        queues.append((-len(own), own[-1].rank, str(name), own))
    heapq.heapify(queues)
    while queues and len(chosen) < count:
        _, _, name, own = heapq.heappop(queues)
        chosen.append(own.pop().place)
        if own:
            heapq.heappush(queues, (-len(own), own[-1].rank, name, own))
    return chosen + [candidate.place for candidate in exempt[: count - len(chosen)]]


class Admission:
    """The connections of a process, at most `most`. `now` is the event loop's clock."""

    def __init__(self, most: int, now: Clock) -> None:
        self.most = most
        self.share = max(1, int(most * CLIENT_SHARE))
        self.ended: Counter[str] = Counter({IDLE: 0, SLOW: 0})
        self.refused: Counter[str] = Counter({SHARE: 0, BUDGET: 0})
        self._now = now
        self._places: dict[Place, None] = {}
        self._of_client: dict[str, dict[Place, None]] = {}
        self._full_until: dict[str | None, float] = {}  # by client, if no place could be made; None: the whole budget
        self._measure_at = 0.0
        self._log_at = 0.0
        self._logged = 0  # of those ended and refused

    def __len__(self) -> int:
        """The number of connections."""
        return len(self._places)

    def __repr__(self) -> str:
        return f"<Admission {len(self)} of {self.most}>"

    def admit(self, client: str | None) -> Place | None:
        """A place for a new connection, after closing others if necessary; None: close the new one.

        It counts against the share of `client` (a `client_network`); None: against no share.
        """
        if len(self._places) >= self.most * MEASURE_FROM_SHARE:
            self._measure()
        if client is not None and not self._has_share(client):
            return None
        if len(self._places) >= self.most and not self._make_room(self._places, None):
            self._refuse(BUDGET)
            return None
        place = Place(client, self)
        self._places[place] = None
        if client is not None:
            self._of_client.setdefault(client, {})[place] = None
        return place

    def count_against(self, place: Place, client: str) -> bool:
        """A proxy has named the client of a connection. False: the client's share is used up, close it."""
        if not self._has_share(client):
            return False
        place.client = client
        self._of_client.setdefault(client, {})[place] = None
        return True

    def release(self, place: Place) -> None:
        """Called by a place when it is freed."""
        del self._places[place]
        if place.client is not None:
            own = self._of_client[place.client]
            del own[place]
            if not own:
                del self._of_client[place.client]
                self._full_until.pop(place.client, None)

    def _has_share(self, client: str) -> bool:
        own = self._of_client.get(client, {})
        if len(own) < self.share or self._make_room(own, client):
            return True
        self._refuse(SHARE)
        return False

    def _make_room(self, places: dict[Place, None], whose: str | None) -> bool:
        """Close some of these connections; False if none of them may be closed."""
        now = self._now()
        if now < self._full_until.get(whose, 0.0):
            return False
        count = max(1, int(self.most * MADE_ROOM_SHARE))
        reason, chosen = IDLE, choose(_quiet(places), count)
        if not chosen:
            reason, chosen = SLOW, choose(_slow(places), count)
        if not chosen:
            self._full_until[whose] = now + LOOK_AGAIN_S
            return False
        self._full_until.pop(whose, None)
        for place in chosen:
            if place.holder is not None:
                place.holder.evict()
            place.free()
        self.ended[reason] += len(chosen)
        self._log()
        return True

    def _measure(self) -> None:
        """Measure the speed of clients, at most once in MEASURE_EVERY_S."""
        now = self._now()
        if now < self._measure_at:
            return
        self._measure_at = now + MEASURE_EVERY_S
        for place in self._places:
            holder, before = place.holder, place.measured
            place.measured, place.bytes_s = None, None
            if holder is None or place.client is None or not holder.waits_for_client:
                continue
            moved = holder.count_moved()
            if moved is not None:
                place.measured = now, moved
                place.bytes_s = None if before is None else (moved - before[1]) / (now - before[0])

    def _refuse(self, reason: str) -> None:
        self.refused[reason] += 1
        self._log()

    def _log(self) -> None:
        """One line for many events: a flood of connections must not flood the log as well."""
        now = self._now()
        if now < self._log_at:
            return
        self._log_at = now + LOG_EVERY_S
        total = self.ended.total() + self.refused.total()
        largest = max(self._of_client, key=lambda client: len(self._of_client[client]), default="")
        log.warning(
            "connections are used up: idle ones make room for new ones",
            open=len(self),
            most=self.most,
            ended_or_refused=total - self._logged,
            client=largest,
            of_client=len(self._of_client.get(largest, {})),
            hint="raise the limit of open files (ulimit -n), or name proxies in http.trustedproxies",
        )
        self._logged = total


def _rank(candidate: Candidate) -> float:
    return candidate.rank


def _quiet(places: Iterable[Place]) -> Iterable[Candidate]:
    for place in places:
        if place.holder is not None and (since := place.holder.quiet_since) is not None:
            yield Candidate(place.client, since, place)


def _slow(places: Iterable[Place]) -> Iterable[Candidate]:
    for place in places:
        bytes_s = place.bytes_s
        if bytes_s is None or bytes_s >= SLOW_BYTES_S or place.holder is None or not place.holder.waits_for_client:
            continue
        yield Candidate(place.client, bytes_s, place)
