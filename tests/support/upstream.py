"""The proxy between two real ends: an upstream that misbehaves on demand, and a server with a small edge in front."""

import asyncio
import json
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import httpx
import uvicorn

from authproxy import asgi
from authproxy.client_view import ClientView
from authproxy.errors import RegistryError
from authproxy.http.server.connection import Connection as ServerConnection
from authproxy.proxy.upstream import Upstream
from authproxy.route import parse_route

# No step of these tests takes a tenth of it, on a busy machine either.
PATIENCE_S = 20

# The first byte of a TLS connection: RFC 8446 §5.1, a record of the type `handshake`.
TLS_HANDSHAKE = b"\x16"

Http: TypeAlias = str | type[ServerConnection]

WATCHERS = ("watch for disconnect", "watch for the client's departure")


@dataclass(slots=True)
class Connection:
    """One connection as the upstream sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def read_head(self) -> bytes:
        """A request's line and headers, with the blank line. Raises IncompleteReadError where there is no more.

        Also where the client tries TLS: a server that speaks none hangs up.
        """
        first = await self.reader.readexactly(1)
        if first == TLS_HANDSHAKE:
            raise asyncio.IncompleteReadError(first, None)
        return first + await self.reader.readuntil(b"\r\n\r\n")

    async def read_request(self) -> tuple[bytes, bytes]:
        """Head and body of a request."""
        head = await self.read_head()
        if length := re.search(rb"(?mi)^content-length: (\d+)\r$", head):
            return head, await self.reader.readexactly(int(length[1]))
        if not re.search(rb"(?mi)^transfer-encoding: chunked\r$", head):
            return head, b""
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readline()
        return head, body

    async def send(self, *pieces: bytes) -> None:
        """Write, and wait until the other side has taken it."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def wait_end(self) -> None:
        """Read until the other side closes or resets. What comes before is dropped."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass
        self.ended.set()


Behaviour = Callable[[Connection], Awaitable[None]]


@dataclass(slots=True)
class FakeUpstream:
    """A TCP server that does with each connection what its behaviour says, and closes it after."""

    port: int = 0
    connections: list[Connection] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def fake_upstream(
    behave: Behaviour, *, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[FakeUpstream]:
    """Run one for the length of a block. A behaviour may be cut off by its client; any other error ends the test."""
    fake = FakeUpstream()
    failures: list[Exception] = []
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        fake.connections.append(connection)
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await behave(connection)
        except (ConnectionError, asyncio.IncompleteReadError):
            connection.ended.set()
        except asyncio.CancelledError:
            pass  # by us, below; asyncio's streams would log it
        except Exception as exc:  # noqa: BLE001 - whatever it is, the test that waits below gets it
            failures.append(exc)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=tls)
    fake.port = server.sockets[0].getsockname()[1]
    async with server:
        yield fake
    for task in serving:
        task.cancel()
    await asyncio.gather(*serving)
    if failures:
        raise failures[0]


def answering(*answer: bytes) -> Behaviour:
    """Read each request to its end, and answer all of them alike."""

    async def behave(connection: Connection) -> None:
        while True:
            await connection.read_request()
            await connection.send(*answer)

    return behave


class Edge:
    """As little of an edge as a backend needs: route and view in the scope, errors as JSON."""

    def __init__(self, app: asgi.App, view: ClientView) -> None:
        self.app = app
        self.view = view

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        started = False

        async def watch_start(message: asgi.Message) -> None:
            nonlocal started
            started = True
            await send(message)

        authority = asgi.find_header(scope["headers"], b"host") or ""
        try:
            scope[asgi.ROUTE] = parse_route(scope["method"], scope["raw_path"], scope["query_string"])
            scope[asgi.CLIENT_VIEW] = replace(self.view, authority=self.view.authority or authority)
            await self.app(scope, receive, watch_start)
        except asgi.ClientDisconnected:
            pass
        except RegistryError as error:
            if started:
                raise
            body = json.dumps({"errors": [{"code": error.code, "message": str(error)}]}).encode()
            await asgi.respond(send, error.status, [("Content-Length", str(len(body))), *error.headers], body)


class FrontDoor(uvicorn.Server):
    """A real server on a loopback port, with uvicorn's HTTP or ours."""

    def __init__(self, app: asgi.App, http: Http) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=http,  # type: ignore[arg-type]  # uvicorn lists its own kinds
                ws="none",
                lifespan="off",
                proxy_headers=False,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=5,
            )
        )
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()
        self.socket = socket.create_server(("127.0.0.1", 0))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """Until it is told to end. uvicorn's own looks for that ten times a second."""
        await self.on_tick(0)
        await self.ended.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close everything. uvicorn's own waits for a tenth of a second in any case, and then for requests."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        async with asyncio.timeout(PATIENCE_S):
            while self.server_state.connections:  # noqa: ASYNC110 - uvicorn tells nobody when one has ended
                await asyncio.sleep(0.001)

    @property
    def port(self) -> int:
        port: int = self.socket.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def wait_idle(self) -> None:
        """Wait until no request is served any more. Raises AssertionError where one, or a part of it, lives on."""
        if tasks := set(self.server_state.tasks):
            _, pending = await asyncio.wait(tasks, timeout=PATIENCE_S)
            assert not pending, pending
        left = [task for task in asyncio.all_tasks() if task.get_name() in WATCHERS]
        assert not left, left

    def client(self) -> httpx.AsyncClient:
        """A client without TLS, whose certificates would take longer to load than a test does."""
        return httpx.AsyncClient(base_url=self.url, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False)

    async def connect(self, request: bytes = b"") -> Connection:
        """A client's connection, on which `request` has been sent."""
        connection = Connection(*await asyncio.open_connection("127.0.0.1", self.port))
        connection.writer.write(request)
        return connection


@asynccontextmanager
async def front_door(
    backend: Upstream, view: ClientView | None = None, *, http: Http = "httptools"
) -> AsyncIterator[FrontDoor]:
    """Serve a backend for the length of a block, and close it. `view` with an empty authority: as `Host` says."""
    server = FrontDoor(Edge(backend, view or ClientView("http", "", "127.0.0.1", "127.0.0.1")), http)
    serving = asyncio.create_task(server.serve([server.socket]))
    await server.ready.wait()
    try:
        yield server
        await server.wait_idle()
    finally:
        server.ended.set()
        await serving
        await backend.aclose()
