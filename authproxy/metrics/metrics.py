"""The metrics of a server: what this worker counts, what the others have counted, and all of it as text."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import structlog

from authproxy.asgi import App
from authproxy.metrics.exposition import CONTENT_TYPE, about_this_process, render
from authproxy.metrics.families import FAMILIES, WORKERS
from authproxy.metrics.http import CountBegun, EndedRequest, HttpCounts
from authproxy.metrics.numbers import Family, Numbers, lasting, merge
from authproxy.metrics.slots import Slot

log = structlog.get_logger(__name__)

# How old the numbers of another worker may be, and what a worker that is killed takes with it, in seconds.
SHARE_EVERY_S = 1.0

# Label values → value.
Reading: TypeAlias = Callable[[], Mapping[tuple[str, ...], float]]


class Metrics:
    """Counts, and tells.

    `folder` is where the workers of one server share their numbers: made by their parent, empty, and removed by it;
    None: there is one worker. It is used from `run` on, since an application may be made only to see whether it can be.
    """

    content_type = CONTENT_TYPE

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._slot: Slot | None = None
        self._http = HttpCounts()
        self._counts: Numbers = {(f.name, labels): [0.0] for f in FAMILIES.values() for labels in f.shown}
        self._readings: list[tuple[Family, Reading]] = []
        self._before: Numbers = {}  # counted by those whose place this worker took
        self._one_at_a_time = threading.Lock()  # numbers that were taken first must not be written last
        # The way of a request leads here: no frame of our own in between.
        self.record: Callable[[EndedRequest], None] = self._http.record

    @property
    def is_shared(self) -> bool:
        """Whether there are other workers to show the numbers to: only then `run` is needed."""
        return self._folder is not None

    def count_begun(self, app: App) -> App:
        """The outermost layer; `record` gets every request that passes it."""
        return CountBegun(app, self._http)

    def count(self, family: Family, *labels: str, by: float = 1.0) -> None:
        """Add to a counter; on the event loop."""
        key = (family.name, labels)
        self._counts[key] = [self._counts.get(key, [0.0])[0] + by]

    def watch(self, family: Family, read: Reading) -> None:
        """Ask `read` for a family's values whenever they are wanted: for what is counted elsewhere anyway.

        Where several tell of the same labels, it is as if they were several processes. It is called in a thread. A
        counter that is read must never go down.
        """
        self._readings.append((family, read))

    async def expose(self) -> bytes:
        """All metrics of all workers as of now, in the text format of Prometheus."""
        return await asyncio.to_thread(self._expose)

    async def run(self, *, every_s: float = SHARE_EVERY_S) -> None:
        """Show the others what this worker has counted, once in `every_s` seconds until cancelled, and once more then.

        With one worker there is nobody to show it to.
        """
        if self._folder is None:
            return
        slot = await asyncio.to_thread(Slot.take, self._folder)
        with self._one_at_a_time:
            self._slot, self._before = slot, lasting(FAMILIES, slot.left_behind)
        shown = None
        try:
            while True:
                # Cheap to know: a server at rest writes nothing.
                if (now := (self._http.total, dict(self._counts), self._read())) != shown:
                    await asyncio.to_thread(self._share)
                    shown = now
                await asyncio.sleep(every_s)
        finally:
            self._share()
            with self._one_at_a_time:
                self._slot = None
                slot.close()

    def _read(self) -> Numbers:
        readings = ({(f.name, labels): [value] for labels, value in read().items()} for f, read in self._readings)
        return merge(FAMILIES, readings)

    def _own(self) -> Numbers:
        """All that this worker has to tell. In any thread: what the event loop adds to is copied in one step."""
        workers: Numbers = {(WORKERS.name, ()): [1.0]}
        counted = [self._before, dict(self._counts), self._http.numbers()]
        return merge(FAMILIES, [*counted, self._read(), workers, about_this_process()])

    def _share(self) -> Numbers:
        with self._one_at_a_time:
            own = self._own()
            if self._slot is not None:
                try:
                    self._slot.write(own)
                except OSError as exc:  # a full disk must not take the numbers from the operator
                    log.warning("metrics are not shared", reason=exc.strerror)
            return own

    def _expose(self) -> bytes:
        """Own numbers are written before they are told: what was told once is told by every worker ever after."""
        own = self._share()
        others = self._slot.others() if self._slot is not None else ()
        return render(merge(FAMILIES, [own, *(n if lives else lasting(FAMILIES, n) for n, lives in others)]))
