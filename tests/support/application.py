"""The whole application of some settings, without a socket: started and ended as a server does it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from authproxy import app as application
from authproxy.asgi import App, Message, Receive, Send
from authproxy.config.load import load_values
from tests.support.plain_log import log_plainly


async def run(app: App, receive: Receive, send: Send) -> None:
    await app({"type": "lifespan"}, receive, send)


@asynccontextmanager
async def living(app: App) -> AsyncIterator[None]:
    """An application that has been started, and is ended as a server does it."""
    said: list[str] = []
    begun, ended = asyncio.Event(), asyncio.Event()

    async def receive() -> Message:
        if not said:
            return {"type": "lifespan.startup"}
        begun.set()
        await ended.wait()
        return {"type": "lifespan.shutdown"}

    async def send(message: Message) -> None:
        said.append(message["type"])

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run(app, receive, send))
        await begun.wait()
        yield
        ended.set()
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@asynccontextmanager
async def serving(
    settings: Mapping[str, Any], *, base_url: str = "https://registry:5000"
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, started and ended as a server does it. It asks from 127.0.0.1."""
    app = application.create(load_values(dict(settings), "test", {}).settings, b"s" * 32)
    transport = httpx.ASGITransport(app)
    try:
        async with living(app), httpx.AsyncClient(transport=transport, base_url=base_url) as client:
            yield client
    finally:
        log_plainly()
