"""An HTTP proxy that fails every so many requests, each time in another way: between us and a real registry."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum

PIECE_BYTES = 64 * 1024
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy"
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\nConnection: close\r\n\r\nsorry"

# RFC 8446 §5.1: what a client begins with that expects TLS, which nobody speaks here.
TLS_HANDSHAKE = b"\x16"
NO_TLS = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Fault(Enum):
    """What happens to a request."""

    RESET = "closed before anything is passed on"
    BUSY = "503"
    CUT_ANSWER = "the answer ends in its middle"
    CUT_REQUEST = "the body ends in its middle"
    BROKEN = "500"
    LOST_ANSWER = "done, and the answer is lost"


@dataclass(slots=True)
class FlakyProxy:
    """Passes requests on to 127.0.0.1:`behind`, each over a connection of its own; one in `every` fails."""

    behind: int
    every: int
    port: int = 0
    requests: int = 0
    failed: list[Fault] = field(default_factory=list)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # asyncio's streams would log it
        finally:
            self._serving.discard(task)
            writer.transport.abort()

    async def end(self) -> None:
        """End every connection."""
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(1)
        if first == TLS_HANDSHAKE:
            writer.write(NO_TLS)
            await writer.drain()
            return
        head = first + await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        fault = None
        if self.requests % self.every == 0:
            fault = list(Fault)[len(self.failed) % len(Fault)]
            self.failed.append(fault)
        if fault is Fault.RESET:
            return
        if fault in (Fault.BUSY, Fault.BROKEN):
            writer.write(BUSY if fault is Fault.BUSY else BROKEN)
            await writer.drain()
            writer.close()
            return
        from_there, to_there = await asyncio.open_connection("127.0.0.1", self.behind)
        try:
            to_there.write(head[:-2] + b"Connection: close\r\n\r\n")
            up = asyncio.create_task(_pass(reader, to_there, 1000 if fault is Fault.CUT_REQUEST else None))
            try:
                await self._answer(from_there, writer, fault)
            finally:
                up.cancel()
                with suppress(asyncio.CancelledError):
                    await up
        finally:
            to_there.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault | None) -> None:
        if fault is Fault.LOST_ANSWER:
            await reader.read()
            return
        await _pass(reader, writer, 100 if fault is Fault.CUT_ANSWER else None)
        writer.close()
        await writer.wait_closed()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, at_most: int | None) -> None:
    """Pass bytes on to the end; with a bound so many, and then the connection is closed."""
    left = at_most
    with suppress(ConnectionError):
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece if left is None else piece[:left])
            await writer.drain()
            if left is not None:
                left -= len(piece)
                if left <= 0:
                    writer.transport.abort()
                    return


@asynccontextmanager
async def flaky_proxy(behind: int, every: int = 10) -> AsyncIterator[FlakyProxy]:
    """Run one in front of a port of loopback for the length of a block."""
    proxy = FlakyProxy(behind, every)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    async with server:
        try:
            yield proxy
        finally:
            await proxy.end()
