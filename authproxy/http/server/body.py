"""A request's body on its way from the socket to whoever reads it: gathered into large pieces, bounded in memory."""

import asyncio
from collections import deque

# Pieces grow as long as they fill up: a slow client holds 64 KiB, a quick one 512 KiB, which a disk takes best.
LEAST_BYTES = 64 * 1024
MOST_BYTES = 512 * 1024

# A piece that is not full waits so long for more, in seconds, while somebody is waiting for it.
LINGER_S = 0.02


class Body:
    """Bytes that came and were not read yet. `put` and `room` come from the socket, `take` from the application.

    While `is_full` nothing more should be put in: that is what bounds the memory, to two pieces and one that fills.
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
        """Enough has come for now."""
        return len(self._ready) > 1

    @property
    def has_begun(self) -> bool:
        """Some of it is here."""
        return self.has_ended or self._filled > 0 or bool(self._ready)

    @property
    def is_awaited(self) -> bool:
        """Somebody waits for it."""
        return self._waiter is not None

    @property
    def is_read(self) -> bool:
        """It has ended, and everything has been taken."""
        return self.has_ended and not self._ready and not self._filled

    def room(self, most: int) -> memoryview:
        """Where the next bytes go, at most so many. Tell `filled` how many came."""
        if self._filling is None:
            self._filling = bytearray(min(self._size, most))
        return memoryview(self._filling)[self._filled : self._filled + most]

    def filled(self, count: int) -> None:
        """So many bytes have been written into the room."""
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
        """Append bytes that the parser has cut out. What is all of a body is passed on as it is."""
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
        """Nothing more comes."""
        self.has_ended = True
        self.wake()

    def wake(self) -> None:
        """Let whoever waits look again: something is there, or the connection is lost, or the answer is complete."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Wait until there is something to take, the end has come, or `wake` was called. One at a time may wait."""
        if self._ready or self.has_ended:
            return
        if self._waiter is not None:
            raise RuntimeError("somebody else waits for this body already")
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
        """The next piece, which is the caller's from now on; empty where nothing is there."""
        if self._ready:
            return self._ready.popleft()
        if self._filling is None or not self._filled:
            return b""
        piece = bytes(memoryview(self._filling)[: self._filled])
        self._filled = 0
        if self._size > LEAST_BYTES and len(piece) < LEAST_BYTES:  # the client has become slow: it holds little again
            self._filling, self._size = None, LEAST_BYTES
        return piece

    def _linger_for_more(self) -> None:
        """What a slow client sent does not wait for a full piece for long."""
        if self._linger is None:
            self._linger = asyncio.get_running_loop().call_later(LINGER_S, self.wake)


# Of a request that has none: nothing is ever put in.
NO_BODY = Body()
NO_BODY.end()
