"""Stream bodies: the client's to the upstream, the upstream's to the client, a piece at a time.

Neither is ever gathered: the next piece is read when the last one has been passed on. Either end may disconnect at any
moment.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self

from authproxy import asgi
from authproxy.errors import RegistryError
from authproxy.http.client.slow_clients import Transfer


class RequestBody:
    """The client's body. Calls `at_end` once it has been read; raises ClientDisconnected if it breaks off."""

    def __init__(self, receive: asgi.Receive, at_end: Callable[[], object], transfer: Transfer) -> None:
        self._transfer = transfer
        self._pieces = asgi.body_pieces(receive)
        self._at_end = at_end
        self.is_complete = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next piece, as the server returns it."""
        self._transfer.wait()
        piece = await anext(self._pieces, None)
        self._transfer.go_on(0 if piece is None else len(piece))
        if piece is not None:
            return piece
        if not self.is_complete:
            self.is_complete = True
            self._at_end()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stop reading. May be repeated."""
        await self._pieces.aclose()


async def relay(
    pieces: AsyncIterator[bytes], send: asgi.Send, transfer: Transfer, *, length: int | None
) -> asgi.Message:
    """Send the body of a response that has been started, except the last message, which is returned.

    That message ends the request for the server, so the caller can give the upstream's connection back before it.
    `length` is the `Content-Length` of the response, or None.
    """
    sent = 0
    last = b""
    async for piece in pieces:
        sent += len(piece)
        if sent == length:
            last = piece
        else:
            transfer.wait()
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            transfer.go_on(len(piece))
    return {"type": "http.response.body", "body": last}


class ClientWatch:
    """Interrupts the current task, whatever it waits for, when the client disconnects or `end` is called.

    `watch` begins watching, for requests whose body has been read or does not matter. As a context it turns its own
    interruption into ClientDisconnected, or into the error that `end` was called with; outside of it the task is never
    interrupted. See `watched` too.
    """

    def __init__(self, scope: asgi.Scope, receive: asgi.Receive) -> None:
        self._departure: asgi.Departure | None = scope.get(asgi.DEPARTURE)
        self._receive = receive
        self._task = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self._is_watched = self._is_interrupted = False
        self._error: RegistryError | None = None

    def watch(self, *, drops_rest: bool = False) -> None:
        """Watch from now on. With `drops_rest` the rest of the client's body is read and dropped."""
        if self._is_watched:
            return
        self._is_watched = True
        if self._departure is None or drops_rest:
            self._watcher = asyncio.create_task(self._drop_rest(), name="watch for the client's departure")
        else:
            self._departure.add_callback(self._interrupt)

    def end(self, error: RegistryError) -> None:
        """Raise this error where the task waits."""
        if not self._is_interrupted:
            self._error = error
            self._interrupt()

    @property
    def has_watcher(self) -> bool:
        """Whether a task is watching, which `stop_watching` ends."""
        return self._watcher is not None

    async def stop_watching(self) -> None:
        """End the task that is watching, if there is one. Call it before the context is left."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._departure is not None and self._is_watched and self._watcher is None:
            self._departure.remove_callback(self._interrupt)
        if not self._is_interrupted or self._task is None or self._task.uncancel():
            return  # also if another caller has cancelled the task too
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            raise self._error or asgi.ClientDisconnected from error

    async def _drop_rest(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._interrupt()

    def _interrupt(self) -> None:
        if self._task is not None and not self._is_interrupted:
            self._is_interrupted = True
            self._task.cancel()


@asynccontextmanager
async def watched(scope: asgi.Scope, receive: asgi.Receive) -> AsyncIterator[None]:
    """Run the block while the client is connected. Raises ClientDisconnected when it disconnects."""
    with ClientWatch(scope, receive) as client:
        client.watch()
        try:
            yield
        finally:
            await client.stop_watching()
