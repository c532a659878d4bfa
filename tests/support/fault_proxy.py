"""A TCP proxy that breaks what passes through it, in one way at a time: between us and a real registry."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum

PIECE_BYTES = 64 * 1024


class Fault(Enum):
    """What happens to connections; those that are open already too, from the next piece on."""

    NONE = "none"
    REFUSE = "refuse"  # nobody listens
    RESET = "reset"  # taken, and reset at once
    SILENT = "silent"  # the request arrives, and no answer comes back
    STOP = "stop"  # the answer stops after `after_bytes`
    CUT = "cut"  # the answer ends there, as if it were complete
    CUT_REQUEST = "cut request"  # the request ends there
    GARBAGE = "garbage"  # something else than an answer
    OVERLOADED = "overloaded"  # 503
    DRIP = "drip"  # the answer comes in small pieces, with a pause after each


GARBAGE = b"\x16\x03\x01\x02\x00\x01\x00 this is no HTTP\r\n\r\n"
OVERLOADED = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy"


@dataclass(slots=True)
class FaultProxy:
    """Passes bytes on to 127.0.0.1:`behind`, but for the fault that `become` chooses."""

    behind: int
    port: int = 0
    fault: Fault = Fault.NONE
    after_bytes: int = 0
    drip_bytes: int = 4096
    drip_s: float = 0.01
    open: int = 0  # connections that somebody has to us
    taken: int = 0  # all that ever were
    _server: asyncio.Server | None = None
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def become(self, fault: Fault, *, after_bytes: int = 0) -> None:
        """Break in another way, or in none."""
        self.fault, self.after_bytes = fault, after_bytes
        if fault in (Fault.REFUSE, Fault.RESET):
            await self._end_all()
        if fault is Fault.REFUSE:
            await self.close()
        elif self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more, and end every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._end_all()

    async def _end_all(self) -> None:
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.open += 1
        self.taken += 1
        try:
            if self.fault is not Fault.RESET:
                await self._pass(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # by us, in `close`: asyncio's streams would log it
        finally:
            self.open -= 1
            self._serving.discard(task)
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_us, from_us = await asyncio.open_connection("127.0.0.1", self.behind)
        ways = [asyncio.create_task(self._up(reader, from_us)), asyncio.create_task(self._down(to_us, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            from_us.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        while piece := await reader.read(PIECE_BYTES):
            passed += len(piece)
            if self.fault is Fault.CUT_REQUEST and passed > self.after_bytes:
                return
            writer.write(piece)
            await writer.drain()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        while piece := await reader.read(PIECE_BYTES):
            match self.fault:
                case Fault.SILENT:
                    await asyncio.Event().wait()
                case Fault.GARBAGE | Fault.OVERLOADED:
                    writer.write(GARBAGE if self.fault is Fault.GARBAGE else OVERLOADED)
                    await writer.drain()
                    writer.close()
                    await writer.wait_closed()
                    return
                case Fault.STOP | Fault.CUT:
                    allowed = piece[: max(self.after_bytes - passed, 0)]
                    passed += len(piece)
                    writer.write(allowed)
                    await writer.drain()
                    if passed >= self.after_bytes:
                        if self.fault is Fault.STOP:
                            await asyncio.Event().wait()
                        writer.close()
                        await writer.wait_closed()
                        return
                case Fault.DRIP:
                    for begin in range(0, len(piece), self.drip_bytes):
                        writer.write(piece[begin : begin + self.drip_bytes])
                        await writer.drain()
                        await asyncio.sleep(self.drip_s)
                case _:
                    writer.write(piece)
                    await writer.drain()


@asynccontextmanager
async def fault_proxy(behind: int) -> AsyncIterator[FaultProxy]:
    """Run one in front of a port of loopback for the length of a block."""
    proxy = FaultProxy(behind)
    await proxy.become(Fault.NONE)
    try:
        yield proxy
    finally:
        await proxy.close()
