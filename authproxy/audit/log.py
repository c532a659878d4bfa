"""The audit log of a process: accepts events at once, and writes them in a thread of its own.

If its sink is slow or broken, up to `MAX_WAITING` events wait in memory while writing is retried, first after a second,
then less and less often. Further events are lost: they are counted, reported once in the process's log, and reported in
the audit log by a line as soon as it can be written again. No request waits.
"""

import functools
import threading
import time
from collections import deque

import structlog

from authproxy.audit.chain import Link, new_writer, seal
from authproxy.audit.event import Event, EventKind, to_fields
from authproxy.audit.sink import AuditSink, LinesRefused, SinkFailed
from authproxy.clock import Clock

log = structlog.get_logger(__name__)

# About 20 MB, and ten seconds at the highest rate of one process.
MAX_WAITING = 32_768
# Events per write.
BATCH = 512
# How long the first event of a batch waits for others, in seconds: waking a thread for each would cost more.
GATHER_S = 0.05
RETRY_S, MAX_RETRY_S = 1.0, 30.0
# How long a process waits for its last lines when it stops, in seconds.
CLOSE_S = 5.0


class AuditLog:
    """One chain of lines into one sink. `now` is in seconds since 1970.

    Nothing is opened and no thread runs before the first event: an application may be built only for a check.
    """

    def __init__(self, sink: AuditSink, *, now: Clock = time.time, max_waiting: int = MAX_WAITING) -> None:
        self._sink = sink
        self._now = now
        self._max_waiting = max_waiting
        self._queue: deque[tuple[float, Event]] = deque()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._overflowed = 0  # counted on the event loop
        # Only for the thread:
        self._link: Link | None = None
        self._sealed: list[bytes] = []
        self._written = 0
        self._dropped = 0
        self._reported = 0  # lost lines that a line has reported
        self._fault: str | None = None

    def __repr__(self) -> str:
        return f"Audit({self.name}, written={self.written}, lost={self.lost}, waiting={len(self._queue)})"

    @property
    def name(self) -> str:
        """The name of the sink."""
        return self._sink.name

    @property
    def written(self) -> int:
        """Lines that the sink has accepted."""
        return self._written

    @property
    def lost(self) -> int:
        """Events that will never have a line."""
        return self._overflowed + self._dropped

    def record(self, event: Event) -> None:
        """Accept an event, without blocking or raising. Only for the thread of the event loop."""
        if len(self._queue) >= self._max_waiting or self._closing.is_set():
            self._overflowed += 1
            return
        self._queue.append((self._now(), event))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"audit {self.name}", daemon=True)
            self._thread.start()
        if len(self._queue) == 1:
            self._wake.set()

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Write the waiting events, for up to `timeout_s` seconds, and end. Blocks. Later events are lost."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                log.error("audit log: the sink does not take the last lines", sink=self.name, lines=self._waiting)

    @property
    def _waiting(self) -> int:
        return len(self._queue) + len(self._sealed)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._wake.clear()
            self._closing.wait(GATHER_S)
            if not self._has_written_all():
                self._wake.set()
                self._closing.wait(RETRY_S)
        self._has_written_all()  # events since the last write
        self._sink.close()

    def _has_written_all(self) -> bool:
        """Write all waiting events; False if that raises, which must not end the thread."""
        try:
            self._write_all()
        except Exception:  # noqa: BLE001 - the reporting of faults may fail as well
            return False
        return True

    def _write_all(self) -> None:
        delay_s = RETRY_S
        while self._queue or self._sealed:
            is_last_try = self._closing.is_set()
            try:
                self._write_some()
            except LinesRefused as exc:
                del self._sealed[: exc.count]
                self._dropped += exc.count
                self._report_fault(str(exc))
            except Exception as exc:  # noqa: BLE001 - no fault of a sink may end the thread
                self._report_fault(str(exc) if isinstance(exc, SinkFailed) else repr(exc))
                if is_last_try:
                    break
                self._closing.wait(delay_s)
                delay_s = min(delay_s * 2, MAX_RETRY_S)
            else:
                delay_s = RETRY_S
        if self._closing.is_set() and self._waiting:
            log.error("audit log: lines are lost at the end", sink=self.name, lines=self._waiting)
            self._dropped += self._waiting
            self._sealed.clear()
            self._queue.clear()

    def _write_some(self) -> None:
        """Write one batch; it stays sealed until the sink accepts it, so that a retry has the same bytes."""
        if self._link is None:
            self._link = self._sink.open() or Link(new_writer())
        if not self._sealed:
            self._seal(self._link)
        if not self._sealed:
            return
        taken = self._sink.write(self._sealed)
        del self._sealed[:taken]
        self._written += taken
        if self._fault is not None:
            self._fault = None
            log.warning("audit log: written again", sink=self.name, lost=self.lost)

    def _seal(self, link: Link) -> None:
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH))]
        if lost := self.lost - self._reported:
            batch.insert(
                0, (self._now(), Event(EventKind.LINES_LOST, reason=f"{lost} lines before this one were lost"))
            )
            self._reported += lost
        for moment, event in batch:
            try:
                raw, link = seal({"time": rfc3339(moment), **to_fields(event)}, link)
            except Exception:  # one strange claim must not stop the lines after it
                self._dropped += 1
                log.exception("audit log: an event has no line", kind=event.kind)
            else:
                self._sealed.append(raw)
        self._link = link

    def _report_fault(self, fault: str) -> None:
        if fault != self._fault:
            self._fault = fault
            log.error("audit log: not written", sink=self.name, reason=fault, waiting=self._waiting)


def rfc3339(moment: float) -> str:
    """Seconds since 1970 as RFC 3339 in UTC, with microseconds."""
    seconds, microseconds = divmod(int(moment * 1_000_000), 1_000_000)
    return f"{_whole(seconds)}.{microseconds:06d}Z"


@functools.lru_cache(maxsize=16)
def _whole(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
