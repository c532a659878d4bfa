"""The whole application of some settings, without a socket: started and ended as a server does it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from authproxy import app as application
from authproxy.asgi import App, Message, Receive, Send
from authproxy.config.load import load_values


async def run(app: App, receive: Receive, send: Send) -> None:
    await app({"type": "lifespan"}, receive, send)


@asynccontextmanager
async def serving(settings: Mapping[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, started and ended as a server does it."""
    app = application.create(load_values(dict(settings), "test", {}).settings, b"s" * 32)
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
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://registry:5000") as client:
            yield client
        ended.set()
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
