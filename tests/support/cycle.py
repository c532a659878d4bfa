"""A connection without a socket, for the tests of one request and its answer."""

import asyncio
from collections.abc import Iterable

from authproxy.asgi import App, Message, Receive, Scope, Send
from authproxy.http.server.body import Body
from authproxy.http.server.cycle import Cycle

COMMON = b"date: today\r\n"
OK = "HTTP/1.1 200 OK\r\n"


class Twin:
    """A connection without a socket. `ended` says how it was ended, if it was."""

    def __init__(self, *, is_behind: bool = False, has_much_to_read: bool = False) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.is_behind = is_behind
        self.common_head = COMMON
        self.has_much_to_read = has_much_to_read
        self.writes: list[bytes] = []
        self.drained = asyncio.Event()
        self.reads_on = 0
        self.finished: list[Cycle] = []
        self.ended: str | None = None
        self.tasks: list[asyncio.Task[None]] = []

    @property
    def written(self) -> str:
        return b"".join(self.writes).decode().replace(COMMON.decode(), "")

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    async def drain(self) -> None:
        await self.drained.wait()

    def read_on(self) -> None:
        self.reads_on += 1

    def finish(self, cycle: Cycle) -> None:
        self.finished.append(cycle)

    def break_off(self, *, shows: bool) -> None:
        self.ended = "closed" if shows else "reset"

    def keep(self, task: "asyncio.Task[None]") -> None:
        self.tasks.append(task)


def make(
    channel: Twin,
    method: str = "GET",
    *,
    version: str = "1.1",
    keeps: bool = True,
    expects: bool = False,
    body: bool = False,
) -> Cycle:
    """A request that has been read, or with `body` one whose body is to come."""
    scope: Scope = {"type": "http", "method": method, "path": "/", "http_version": version}
    cycle = Cycle(channel, scope, Body(), keep_alive=keeps, expects_continue=expects)
    if not body:
        cycle.body.end()
    return cycle


async def run(cycle: Cycle, app: App) -> None:
    """In a callback, as connections do; go on when it waits or has ended."""
    done = asyncio.get_running_loop().create_future()

    def step() -> None:
        cycle.run(app)
        done.set_result(None)

    asyncio.get_running_loop().call_soon(step)
    await done


def start(status: int = 200, **headers: str) -> Message:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": pairs}


def piece(data: bytes | bytearray | memoryview = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def sends(messages: Iterable[Message]) -> App:
    """An application that sends these."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


WHOLE = [start(content_length="2"), piece(b"ok")]
