"""A request's body on its way from the socket to its reader: gathered into large pieces, bounded in memory."""

import asyncio
from collections import deque

# Pieces grow as long as they fill up: a slow client holds 64 KiB, a fast one 512 KiB, the best size for a disk.
LEAST_BYTES = 64 * 1024
MOST_BYTES = 512 * 1024

# How long a piece that is not full waits for more bytes while the reader waits, in seconds.
LINGER_S = 0.02


class Body:
    """Bytes that have arrived and were not read yet. The socket's side calls `put` and `room`, the application `take`.

    While `is_full`, no more may be added: this bounds the memory to two pieces and one that is being filled.
    """

    def __init__(self) -> None:
        self.has_ended = False
        self._ready: deque[bytes | bytearray] = deque()
        self._filling: bytearray | None = None
        self._filled = 0
        self._size = LEAST_BYTES
        self._waiter: asyncio.Future[None] | None = None
        self._linger: asyncio.TimerHandle | None = None

    @property
    def is_full(self) -> bool:
        """Enough bytes have arrived for now."""
        return len(self._ready) > 1

    @property
    def has_begun(self) -> bool:
        """Some of it has arrived, or its end."""
        return self.has_ended or self._filled > 0 or bool(self._ready)

    @property
    def is_awaited(self) -> bool:
        """The reader is waiting for it."""
        return self._waiter is not None

    @property
    def is_read(self) -> bool:
        """It has ended, and all of it has been taken."""
        return self.has_ended and not self._ready and not self._filled

    def room(self, most: int) -> memoryview:
        """The buffer for the next bytes, at most `most`. Then call `filled` with their number."""
        if self._filling is None:
            self._filling = bytearray(min(self._size, most))
        return memoryview(self._filling)[self._filled : self._filled + most]

    def filled(self, count: int) -> None:
        """`count` bytes have been written into the buffer that `room` returned."""
        assert self._filling is not None
        self._filled += count
        if self._filled == len(self._filling):
            self._ready.append(self._filling)
            self._filling, self._filled = None, 0
            self._size = min(2 * self._size, MOST_BYTES)
            self.wake()
        elif self._waiter is not None:
            self._linger_for_more()

    def put(self, data: bytes, *, is_all: bool) -> None:
        """Append bytes from the parser. A whole body (`is_all`) is passed on without a copy."""
        if is_all and not self._filled and not self._ready:
            self._ready.append(data)
            self.wake()
            return
        rest = memoryview(data)
        while rest:
            with self.room(MOST_BYTES) as room:
                count = min(len(room), len(rest))
                room[:count] = rest[:count]
            self.filled(count)
            rest = rest[count:]

    def end(self) -> None:
        """The body is complete."""
        self.has_ended = True
        self.wake()

    def wake(self) -> None:
        """Wake the reader: bytes have arrived, or the connection is lost, or the response is complete."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Wait until there are bytes to take, the body has ended, or `wake` was called. Only one task may wait."""
        if self._ready or self.has_ended:
            return
        if self._waiter is not None:
            raise RuntimeError("another task is already waiting for this body")
        self._waiter = asyncio.get_running_loop().create_future()
        if self._filled:
            self._linger_for_more()
        try:
            await self._waiter
        finally:
            self._waiter = None
            if self._linger is not None:
                self._linger.cancel()
                self._linger = None

    def take(self) -> bytes | bytearray:
        """The next piece, which then belongs to the caller; empty if there are no bytes."""
        if self._ready:
            return self._ready.popleft()
        if self._filling is None or not self._filled:
            return b""
        piece = bytes(memoryview(self._filling)[: self._filled])
        self._filled = 0
        if self._size > LEAST_BYTES and len(piece) < LEAST_BYTES:  # the client has become slow: use small pieces again
            self._filling, self._size = None, LEAST_BYTES
        return piece

    def _linger_for_more(self) -> None:
        """Wait for a fuller piece, but not for long."""
        if self._linger is None:
            self._linger = asyncio.get_running_loop().call_later(LINGER_S, self.wake)


# For requests without a body; never modified.
NO_BODY = Body()
NO_BODY.end()
