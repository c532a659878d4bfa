"""The debug port's own HTTP server, inside a process that serves the registry.

The sockets are bound once, by the parent: any of several worker processes may answer.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from authproxy.asgi import App
from authproxy.log.configure import log_task_fault
from authproxy.server.uvicorn_config import plain_config

# How long a response in flight may take when the process stops. A scrape takes milliseconds.
DRAIN_S = 2


@asynccontextmanager
async def serve_debug(app: App, sockets: Sequence[socket.socket]) -> AsyncIterator[None]:
    """Serve `app` in plain HTTP on listening sockets for the length of a block; without sockets do nothing.

    They are closed at the end. A fault of this server is logged and affects nothing else.
    """
    if not sockets:
        yield
        return
    server = _Server(plain_config(app, http="httptools", lifespan="off", timeout_graceful_shutdown=DRAIN_S))
    serving = asyncio.create_task(server.serve(list(sockets)), name="debug server")
    serving.add_done_callback(log_task_fault)
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.wait([serving])


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves the signals of the process to the one that serves the registry."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
