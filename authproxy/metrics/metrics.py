"""The metrics of a server: this worker's, those of the other workers, and all of them as text."""

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

# How old the numbers of another worker may be, and for how long those of a killed one may be lost, in seconds.
SHARE_EVERY_S = 1.0

# Label values → value.
Reading: TypeAlias = Callable[[], Mapping[tuple[str, ...], float]]


class Metrics:
    """Counts, reads and exposes the metrics.

    `folder` is where the workers of one server share their numbers: their parent creates it empty, and removes it;
    None: there is one worker. Nothing opens it before `run`, since an application may be built only for a check.
    """

    content_type = CONTENT_TYPE

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._slot: Slot | None = None
        self._http = HttpCounts()
        self._counts: Numbers = {(f.name, labels): [0.0] for f in FAMILIES.values() for labels in f.shown}
        self._readings: list[tuple[Family, Reading]] = []
        self._before: Numbers = {}  # counted by the previous owners of this worker's slot
        self._one_at_a_time = threading.Lock()  # older numbers must not be written after newer ones
        # Every request calls it: no frame of our own in between.
        self.record: Callable[[EndedRequest], None] = self._http.record

    @property
    def is_shared(self) -> bool:
        """Whether there are other workers to share numbers with: only then `run` is needed."""
        return self._folder is not None

    def count_begun(self, app: App) -> App:
        """The outermost layer; `record` gets every request that passes it."""
        return CountBegun(app, self._http)

    def count(self, family: Family, *labels: str, by: float = 1.0) -> None:
        """Add to a counter; on the event loop."""
        key = (family.name, labels)
        self._counts[key] = [self._counts.get(key, [0.0])[0] + by]

    def watch(self, family: Family, read: Reading) -> None:
        """Read a family's values from `read` at each scrape: for values that other code counts anyway.

        Values of several readers with the same labels are merged like those of several processes. `read` is called in
        a thread. A counter that it returns must never go down.
        """
        self._readings.append((family, read))

    async def expose(self) -> bytes:
        """All metrics of all workers as of now, in the text format of Prometheus."""
        return await asyncio.to_thread(self._expose)

    async def run(self, *, every_s: float = SHARE_EVERY_S) -> None:
        """Share this worker's numbers with the others every `every_s` seconds until cancelled, and once more then.

        With one worker it does nothing.
        """
        if self._folder is None:
            return
        slot = await asyncio.to_thread(Slot.take, self._folder)
        with self._one_at_a_time:
            self._slot, self._before = slot, lasting(FAMILIES, slot.left_behind)
        shared = None
        try:
            while True:
                # A server without requests writes nothing.
                if (now := (self._http.total, dict(self._counts), self._read())) != shared:
                    await asyncio.to_thread(self._share)
                    shared = now
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
        """All numbers of this worker. In any thread: the counts of the event loop are copied in one step."""
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
        """Own numbers are shared before they are exposed: no later scrape of another worker may show smaller ones."""
        own = self._share()
        others = self._slot.others() if self._slot is not None else ()
        return render(merge(FAMILIES, [own, *(n if lives else lasting(FAMILIES, n) for n, lives in others)]))
