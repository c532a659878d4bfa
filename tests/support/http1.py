"""A server of nothing but our HTTP or our transports, in a thread of its own: raw bytes over real sockets."""

import asyncio
import datetime as dt
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from uvicorn.server import ServerState

from authproxy.asgi import App
from authproxy.certificates import make_certificates
from authproxy.http.server.connection import Connection
from authproxy.http.server.loop import Loop
from authproxy.http.server.options import DEFAULT, Options
from authproxy.server.tls_context import load_tls

T = TypeVar("T")
T_THREAD = TypeVar("T_THREAD", bound="LoopThread")

# Nothing here takes longer on a busy machine.
WITHIN_S = 30.0
KEEP_ALIVE_S = 120


class SkewedLoop(Loop):
    """A loop whose clock can be put forward: what was to happen later happens now."""

    skew_s = 0.0

    def time(self) -> float:
        return super().time() + self.skew_s


class Tls:
    """Both sides of TLS, with certificates that were made for it."""

    def __init__(self, folder: Path) -> None:
        make_certificates(folder, ["localhost"], now=dt.datetime.now(dt.UTC))
        self.ca = folder / "ca.pem"
        self.server = load_tls(folder / "server.pem", folder / "server.key")

    def client(self) -> ssl.SSLContext:
        """A client's context, which the test may change."""
        return ssl.create_default_context(cafile=str(self.ca))


class LoopThread:
    """A loop of ours in a thread, and a server in it whose connections `make` makes. `faults`: what the loop told."""

    def __init__(self, make: Callable[[], asyncio.BaseProtocol], tls: Tls | None) -> None:
        self.tls = tls
        self.faults: list[dict[str, Any]] = []
        self.port = 0
        self.loop: SkewedLoop
        self.server: asyncio.Server
        self._make = make
        self._ready: Future[None] = Future()
        self._stop: asyncio.Event
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Go on when it listens."""
        self._thread.start()
        self._ready.result(WITHIN_S)

    def stop(self) -> None:
        """Go on when its loop is closed."""
        self.call(self._stop.set)
        self._thread.join(WITHIN_S)
        assert not self._thread.is_alive()

    def call(self, function: Callable[[], T]) -> T:
        """Call a function in the loop, between its turns, and wait for what it returns."""
        done: Future[T] = Future()

        def step() -> None:
            try:
                done.set_result(function())
            except Exception as error:  # noqa: BLE001 - it is raised where it was called for
                done.set_exception(error)

        self.loop.call_soon_threadsafe(step)
        return done.result(WITHIN_S)

    def wait(self, condition: Callable[[], object]) -> None:
        """Until something is so."""
        deadline = time.monotonic() + WITHIN_S
        while not self.call(lambda: bool(condition())):
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def later(self, seconds: float) -> None:
        """Let so much time pass, without waiting for it."""

        def skew() -> None:
            self.loop.skew_s += seconds

        self.call(skew)
        self.call(lambda: None)  # what is due has been called when this is

    def connect(self, *, plain: bool = False) -> socket.socket:
        """A new connection, over TLS where the server has it, unless `plain`."""
        made = socket.create_connection(("127.0.0.1", self.port), timeout=WITHIN_S)
        if self.tls is None or plain:
            return made
        # Nothing counts as the end but TLS's own (RFC 8446 §6.1).
        return self.tls.client().wrap_socket(made, server_hostname="localhost", suppress_ragged_eofs=False)

    def ask(self, *pieces: bytes) -> bytes:
        """Send the pieces, and read until the server closes."""
        with self.connect() as client:
            for piece in pieces:
                client.sendall(piece)
            return read_all(client)

    def tidy(self) -> None:
        """Called before the loop ends."""

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=SkewedLoop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SkewedLoop)
        self.loop = loop
        loop.set_exception_handler(lambda _, context: self.faults.append(context))
        self._stop = asyncio.Event()
        tls = self.tls.server if self.tls else None
        self.server = await loop.create_server(self._make, "127.0.0.1", 0, ssl=tls, backlog=128)
        self.port = self.server.sockets[0].getsockname()[1]
        self._ready.set_result(None)
        await self._stop.wait()
        self.server.close()
        self.tidy()


class Serving(LoopThread):
    """A server of HTTP for an application. `connections`: all that were made."""

    def __init__(self, app: App, tls: Tls | None, options: Options = DEFAULT) -> None:
        super().__init__(self._make_connection, tls)
        self.state = ServerState()
        self.connections: list[Connection] = []
        self._options = options
        self._config = uvicorn.Config(
            app, ws="none", lifespan="off", log_config=None, timeout_keep_alive=KEEP_ALIVE_S, proxy_headers=False
        )
        self._config.load()

    def tidy(self) -> None:
        for task in self.state.tasks:
            task.cancel()

    def _make_connection(self) -> Connection:
        connection = Connection(self._config, self.state, {}, options=self._options)
        self.connections.append(connection)
        return connection


@contextmanager
def running(thread: T_THREAD) -> Iterator[T_THREAD]:
    """For the length of a block, in which its loop must meet no fault; a test that means to make one clears them."""
    thread.start()
    try:
        yield thread
    finally:
        thread.stop()
    assert thread.faults == []


def serving(app: App, tls: Tls | None = None) -> AbstractContextManager[Serving]:
    """A server of HTTP for the length of a block."""
    return running(Serving(app, tls))


def read_all(client: socket.socket) -> bytes:
    """Until the peer closes or resets the connection."""
    pieces = []
    with suppress(ConnectionResetError):
        while piece := client.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def read_until(client: socket.socket, end: bytes) -> bytes:
    """Until these bytes have come."""
    read = b""
    while not read.endswith(end):
        piece = client.recv(65536)
        assert piece, f"the connection ended after {read!r}"
        read += piece
    return read
