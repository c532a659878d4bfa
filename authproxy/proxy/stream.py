"""Bodies on their way through: the client's up to the upstream, the upstream's answer down, a piece at a time.

Neither is ever gathered: the next piece is read when the last one has been taken. Both ends may leave at any moment.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self

import httpx

from authproxy import asgi


class RequestBody(httpx.AsyncByteStream):
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


async def relay(
    pieces: AsyncIterator[bytes], start: asgi.Message, send: asgi.Send, *, length: int | None
) -> asgi.Message:
    """Send an answer's start and its body, but for the last message, which is returned.

    The server takes that message as the end of the request; so the upstream's connection can be given back first.
    `length` is the `Content-Length` of the answer, or None.
    """
    await send(start)
    sent = 0
    last = b""
    async for piece in pieces:
        sent += len(piece)
        if sent == length:
            last = piece
        elif piece:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    return {"type": "http.response.body", "body": last}


@asynccontextmanager
async def cancel_on_disconnect(receive: asgi.Receive, exchange: asyncio.Timeout) -> AsyncIterator[None]:
    """Let the exchange's time end when the client goes away, whatever it is waiting for."""
    async with asgi.watch_disconnect(receive) as gone:

        async def end() -> None:
            await gone.wait()
            exchange.reschedule(asyncio.get_running_loop().time())

        ender = asyncio.create_task(end(), name="cancel on disconnect")
        try:
            yield
        finally:
            ender.cancel()
            await asyncio.wait([ender])
