"""Whether this process is shutting down: known from the signal on, before the server closes its sockets."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Drain:
    """Whether SIGTERM or Ctrl-C has arrived."""

    has_begun = False

    @contextmanager
    def noticing(self) -> Iterator[None]:
        """Notice signals for the length of a block, and pass them on to their earlier handlers. In the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        ours = {number: self._then(handler) for number, handler in before.items() if callable(handler)}
        for number, handler in ours.items():
            signal.signal(number, handler)
        try:
            yield
        finally:
            for number, handler in ours.items():
                if signal.getsignal(number) is handler:
                    signal.signal(number, before[number])

    def _then(self, handler: Callable[[int, FrameType | None], object]) -> Callable[[int, FrameType | None], object]:
        def note(number: int, frame: FrameType | None) -> object:
            self.has_begun = True
            return handler(number, frame)

        return note
