"""Bodies on their way through: the client's up to the upstream, the upstream's answer down, a piece at a time.

Neither is ever gathered: the next piece is read when the last one has been taken. Both ends may leave at any moment.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self

from authproxy import asgi

WATCH_AFTER_S = 0.02


class RequestBody:
    """The client's body. Awaits `at_end` once it has been read; raises ClientDisconnected where it breaks off."""

    def __init__(self, receive: asgi.Receive, at_end: Callable[[], Awaitable[object]]) -> None:
        self._pieces = asgi.body_pieces(receive)
        self._at_end = at_end
        self.is_complete = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next piece, as large as the server hands it over."""
        piece = await anext(self._pieces, None)
        if piece is not None:
            return piece
        if not self.is_complete:
            self.is_complete = True
            await self._at_end()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stop reading. May be repeated."""
        await self._pieces.aclose()


async def relay(pieces: AsyncIterator[bytes], send: asgi.Send, *, length: int | None) -> asgi.Message:
    """Send the body of an answer that has been started, but for the last message, which is returned.

    The server takes that message as the end of the request; so the upstream's connection can be given back first.
    `length` is the `Content-Length` of the answer, or None.
    """
    sent = 0
    last = b""
    async for piece in pieces:
        sent += len(piece)
        if sent == length:
            last = piece
        else:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    return {"type": "http.response.body", "body": last}


@asynccontextmanager
async def cancel_on_disconnect(receive: asgi.Receive, exchange: asyncio.Timeout) -> AsyncIterator[None]:
    """Let the exchange's time end when the client goes away, whatever it is waiting for.

    For requests whose body has been read or does not matter: it takes the remaining messages. It begins to look after
    WATCH_AFTER_S: most exchanges are over by then, and a task for each would cost them more than the look is worth.
    """
    loop = asyncio.get_running_loop()
    watcher: asyncio.Task[None] | None = None

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        exchange.reschedule(loop.time())

    def begin() -> None:
        nonlocal watcher
        watcher = loop.create_task(watch(), name="cancel on disconnect")

    beginning = loop.call_later(WATCH_AFTER_S, begin)
    try:
        yield
    finally:
        beginning.cancel()
        if watcher is not None:
            watcher.cancel()
            await asyncio.wait([watcher])
