"""The speed of pulls, and of a known user's logins, while wrong logins come in at a steady rate.

The pulls are measured with and without the flood, alternately, so that other load on the machine affects both. The
flood does not wait for an answer before it sends the next login: it keeps its rate, or the run fails.
"""

import asyncio
import base64
import itertools
import secrets
import ssl
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.errors import BenchmarkError, WrongAnswer
from benchmarks.tables import figure
from benchmarks.target import Target, token_path
from benchmarks.works import Turn, Work

WRONG_LOGINS_PER_S = 200
# The rate of pulls during the flood, as a part of the rate without it.
LEAST_SHARE = 0.8
# A flood that the client itself cannot sustain proves nothing.
_LEAST_PACE = 0.9
_KNOWN_EVERY_S = 0.1
# Time before the block begins, in which connections open and the queue fills.
_WARM_LOGINS = 2 * WRONG_LOGINS_PER_S
_WARM_WITHIN_S = 30
_UNKNOWN_NAMES = 50
_REFUSED, _COME_BACK = 401, 429


@dataclass(slots=True)
class Flood:
    """The answers during a flood: statuses of the wrong logins, and durations of the known user's right ones."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    known_s: list[float] = field(default_factory=list)

    @property
    def pace(self) -> float:
        """Answers to wrong logins per second."""
        return self.statuses.total() / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class FloodedWork:
    """One work with and without a flood: a rate for each round."""

    work: str
    unit: str
    quiet: tuple[float, ...]
    flooded: tuple[float, ...]

    @property
    def share(self) -> float:
        """The median of the rounds' shares, from 0 to 1."""
        return statistics.median(with_it / without for without, with_it in zip(self.quiet, self.flooded, strict=True))


@dataclass(frozen=True, slots=True)
class Floods:
    """All figures of one run."""

    standings: tuple[FloodedWork, ...]
    wrong_per_s: float
    refused: int  # 401: hashed and refused
    told_to_come_back: int  # 429
    known_median_ms: float
    known_most_ms: float

    def is_within_limits(self) -> bool:
        """Whether every pull kept its share."""
        return all(work.share >= LEAST_SHARE for work in self.standings)


def measure_floods(works: Sequence[Work], turn: Turn) -> Floods:
    """Every work, alternately quiet and flooded. Raises BenchmarkError for an unexpected answer."""
    for work in works:
        work.measure(turn)  # warm
    quiet: dict[str, list[float]] = {work.name: [] for work in works}
    flooded: dict[str, list[float]] = {work.name: [] for work in works}
    met = Flood()
    for _ in range(turn.effort.rounds):
        for work in works:
            quiet[work.name].append(work.measure(turn))
            with flooding(turn.target, met):
                flooded[work.name].append(work.measure(turn))
    if unexpected := set(met.statuses) - {_REFUSED, _COME_BACK}:
        raise BenchmarkError(f"wrong logins were answered {', '.join(map(str, sorted(unexpected)))}")
    if met.pace < _LEAST_PACE * WRONG_LOGINS_PER_S:
        raise BenchmarkError(f"the flood was {met.pace:.0f} logins a second, not {WRONG_LOGINS_PER_S}")
    return Floods(
        tuple(FloodedWork(work.name, work.unit, tuple(quiet[work.name]), tuple(flooded[work.name])) for work in works),
        met.pace,
        met.statuses[_REFUSED],
        met.statuses[_COME_BACK],
        statistics.median(met.known_s) * 1000,
        max(met.known_s) * 1000,
    )


@contextmanager
def flooding(target: Target, met: Flood) -> Iterator[None]:
    """Send wrong logins at a steady rate as long as the block lasts; adds the answers to `met`."""
    warm, ended = threading.Event(), threading.Event()
    faults: list[Exception] = []

    def run() -> None:
        try:
            asyncio.run(_flood(target, met, warm.set, ended.is_set))
        except* (OSError, asyncio.IncompleteReadError, WrongAnswer) as group:
            faults.extend(group.exceptions)

    thread = threading.Thread(target=run, name="flood")
    thread.start()
    try:
        warm.wait(_WARM_WITHIN_S)
        yield
    finally:
        ended.set()
        thread.join()
    if faults:
        raise BenchmarkError(f"the flood broke off: {faults[0]!r}")


async def _flood(target: Target, met: Flood, warm: Callable[[], None], is_over: Callable[[], bool]) -> None:
    line = _Line(target)
    began = time.perf_counter()
    assert target.user is not None
    async with asyncio.TaskGroup() as group:
        known = group.create_task(_come_again(line, target.user, met, is_over))
        for number in itertools.count():
            if is_over():
                break
            if number == _WARM_LOGINS:
                warm()
            group.create_task(_fail(line, number, met))
            await asyncio.sleep(max(0.0, began + (number + 1) / WRONG_LOGINS_PER_S - time.perf_counter()))
        met.seconds += time.perf_counter() - began
        await known
    line.close()


async def _fail(line: "_Line", number: int, met: Flood) -> None:
    """Every other login tries the known user's name; the rest try names that do not exist."""
    name = f"nobody{number % _UNKNOWN_NAMES}" if number % 2 or line.user is None else line.user
    met.statuses[await line.login(name, secrets.token_hex(8))] += 1


async def _come_again(line: "_Line", user: tuple[str, str], met: Flood, is_over: Callable[[], bool]) -> None:
    while not is_over():
        began = time.perf_counter()
        status = await line.login(*user)
        met.known_s.append(time.perf_counter() - began)
        if status != 200:
            raise WrongAnswer(f"the known user's right password was answered {status}")
        await asyncio.sleep(_KNOWN_EVERY_S)


class _Line:
    """Connections to one target, reused; as many as there are requests in flight."""

    def __init__(self, target: Target) -> None:
        self.user = target.user[0] if target.user else None
        self._port = target.port
        self._tls = ssl.create_default_context(cafile=target.ca)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def login(self, name: str, password: str) -> int:
        """GET a token with these credentials: the status."""
        reader, writer = self._idle.pop() if self._idle else await self._connect()
        credentials = base64.b64encode(f"{name}:{password}".encode()).decode()
        path = token_path("repository:bench/app:pull")
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nAuthorization: Basic {credentials}\r\n\r\n"
        writer.write(head.encode())
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = next(line for line in answer.split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        self._idle.append((reader, writer))
        return int(answer.split(b" ", 2)[1])

    def close(self) -> None:
        """End all connections."""
        for _, writer in self._idle:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port, ssl=self._tls)


COLUMNS = ("with wrong logins", "unit", "without", "with", "share", "least")


def cells(work: FloodedWork) -> list[str]:
    """A row of the table."""
    medians = [figure(statistics.median(rounds)) for rounds in (work.quiet, work.flooded)]
    return [work.work, work.unit, *medians, f"{work.share:.0%}", f"{LEAST_SHARE:.0%}"]


def seen(floods: Floods) -> dict[str, str]:
    """The answers during the flood, for people."""
    return {
        "wrong logins a second": figure(floods.wrong_per_s),
        "of them hashed and refused": f"{floods.refused:,}",
        "of them answered 429": f"{floods.told_to_come_back:,}",
        "right password of a known user, median (ms)": figure(floods.known_median_ms),
        "right password of a known user, most (ms)": figure(floods.known_most_ms),
    }


def as_entry(floods: Floods) -> dict[str, Any]:
    """The same for programs."""
    return asdict(floods) | {"standings": [asdict(one) | {"share": one.share} for one in floods.standings]}
