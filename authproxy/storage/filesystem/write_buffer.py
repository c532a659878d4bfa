"""Gather small pieces into large buffers: a thread works on one while the event loop fills the other.

Handing over to a thread costs the same for a byte as for half a megabyte, so pieces from a socket are copied together
once; a piece that is large itself is handed over without a copy.
"""

from collections.abc import Callable
from functools import partial

from authproxy.storage.driver import Piece
from authproxy.storage.filesystem.thread_pool import Lane

# An upload has two while it is written. Measured: 256 to 512 KiB are the quickest.
BUFFER_BYTES = 512 * 1024

# A piece of this many bytes is handed over on its own: copying it would cost more.
DIRECT_BYTES = 256 * 1024

# Unused buffers that a driver keeps for the next upload.
MAX_SPARE = 8


class Buffers:
    """Buffers to reuse: new ones would be filled with zeros first."""

    def __init__(self) -> None:
        self._spare: list[bytearray] = []

    def take(self) -> bytearray:
        """A buffer of BUFFER_BYTES with arbitrary content."""
        return self._spare.pop() if self._spare else bytearray(BUFFER_BYTES)

    def give(self, buffer: bytearray) -> None:
        """Give one back. It may not be used any more."""
        if len(self._spare) < MAX_SPARE:
            self._spare.append(buffer)


class WriteBuffer:
    """Appends pieces to whatever `consume` writes to; `consume` runs in the lane's threads, in order."""

    def __init__(self, lane: Lane, buffers: Buffers, consume: Callable[[memoryview], None]) -> None:
        self.accepted = 0  # bytes, consumed or not yet
        self._lane = lane
        self._buffers = buffers
        self._consume = consume
        self._filling: bytearray | None = None
        self._filled = 0
        self._lent: bytearray | None = None  # in use by the thread, or back from it

    @property
    def waiting(self) -> memoryview:
        """Gathered bytes that are not handed over yet. Valid until the next call."""
        return memoryview(self._filling)[: self._filled] if self._filling is not None else memoryview(b"")

    async def write(self, piece: Piece) -> None:
        """Accept a piece. Waits while the thread is a whole buffer behind. Cancelled: `accepted` says how much was.

        A piece of DIRECT_BYTES or more is not copied: it must not change until `flush` or `take` has returned.
        """
        if len(piece) >= DIRECT_BYTES:
            if self._filled:
                await self._hand_over()
            await self._lane.start(partial(self._consume, memoryview(piece)))
            self.accepted += len(piece)
            return
        rest = memoryview(piece)
        while rest:
            if self._filled == BUFFER_BYTES:  # an earlier call was cancelled before it could hand over
                await self._hand_over()
            taken = self._copy(rest)
            rest = rest[taken:]
            if self._filled == BUFFER_BYTES:
                await self._hand_over()

    async def take(self) -> memoryview:
        """Wait until all that was handed over is consumed; returns the rest, for a job that the caller starts next."""
        await self._lane.settle()
        waiting = self.waiting
        self._filled = 0
        return waiting

    async def flush(self) -> None:
        """Wait until everything accepted is consumed."""
        if self._filled:
            await self._hand_over()
        await self._lane.settle()

    def release(self) -> None:
        """Give the buffers back. No job may be running."""
        for buffer in (self._filling, self._lent):
            if buffer is not None:
                self._buffers.give(buffer)
        self._filling = self._lent = None
        self._filled = 0

    def _copy(self, rest: memoryview) -> int:
        if self._filling is None:
            self._filling = self._buffers.take()
        taken = min(len(rest), BUFFER_BYTES - self._filled)
        self._filling[self._filled : self._filled + taken] = rest[:taken]
        self._filled += taken
        self.accepted += taken
        return taken

    async def _hand_over(self) -> None:
        assert self._filling is not None
        await self._lane.start(partial(self._consume, memoryview(self._filling)[: self._filled]))
        # `start` waited for the job before, so the lent buffer is free again.
        self._filling, self._lent, self._filled = self._lent, self._filling, 0
