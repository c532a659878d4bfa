"""The catalogs of several upstreams as one list: in bytewise order, by the clients' names."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass

from authproxy import asgi
from authproxy.content import ContentFor
from authproxy.pagination import LOOK, Page, find_shown, next_link, to_json
from authproxy.proxy.content import CATALOG
from authproxy.proxy.renaming import Renaming
from authproxy.proxy.stream import watched

# Entries of a page, if the client gives no size.
DEFAULT_PAGE = 100


@dataclass(frozen=True, slots=True)
class CatalogPart:
    """One registry's part: the names at and below `base` (a client's name; "" is all) for which `owns` is true."""

    content: ContentFor
    base: str
    renaming: Renaming
    owns: Callable[[str], bool]

    async def names(self, scope: asgi.Scope, after: str) -> AsyncGenerator[str, None]:
        """The clients' names greater than `after`, in bytewise order. Raises the registry's errors, GatewayFailed."""
        if self.base and after > f"{self.base}/" and not after.startswith(f"{self.base}/"):
            return
        first = self.renaming.add + f"{self.base}/".removeprefix(self.renaming.strip).rstrip("/")
        begun = self.renaming.add + after[len(self.renaming.strip) :] if after.startswith(self.renaming.strip) else ""
        # A page does not contain `last` itself, but must contain `first`: a text one character shorter sorts before it.
        start = begun if begun >= first else first[:-1]
        async with aclosing(self.content(scope).repositories(start)) as blocks:
            async for block in blocks:
                for inner in block:
                    name = self.renaming.outward(inner)
                    if name is not None and name > after and self.owns(name):
                        yield name
                if block[0] > first and not block[-1].startswith(first):
                    return


async def answer_catalog(
    parts: Sequence[CatalogPart],
    scope: asgi.Scope,
    receive: asgi.Receive,
    send: asgi.Send,
    shows: Callable[[str], bool],
    page: Page,
) -> None:
    """Answer with a page of the names of all parts for which `shows` is true.

    A registry that fails or has no catalog makes the whole fail: without its names the list would look complete.
    Raises ClientDisconnected when the client disconnects meanwhile: no registry is asked any more then.
    """
    streams = [part.names(scope, page.last) for part in parts]
    async with watched(scope, receive), _merged(streams) as names:
        found = await find_shown(_pieces(names), shows, page)
    shown, link = next_link(scope[asgi.CLIENT_VIEW], CATALOG, page, found)
    body = f'{{"repositories":{to_json(shown)}}}'.encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *link]
    await asgi.respond(send, 200, headers, b"" if scope["method"] == "HEAD" else body)


@asynccontextmanager
async def _merged(streams: Sequence[AsyncGenerator[str, None]]) -> AsyncIterator[AsyncIterator[str]]:
    """Merge sorted streams; all of them are closed at the end of the block."""
    async with AsyncExitStack() as stack:
        for stream in streams:
            await stack.enter_async_context(aclosing(stream))
        yield _merge(streams)


async def _firsts(
    streams: Sequence[AsyncGenerator[str, None]],
) -> list[tuple[str | None, AsyncGenerator[str, None]]]:
    """The first name of each. All registries are asked at once, and the first failure cancels the other requests."""

    async def first(stream: AsyncGenerator[str, None]) -> str | None:
        return await anext(stream, None)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(first(stream), name="first of a catalog") for stream in streams]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [(task.result(), stream) for task, stream in zip(tasks, streams, strict=True)]


async def _merge(streams: Sequence[AsyncGenerator[str, None]]) -> AsyncIterator[str]:
    heads = [(name, stream) for name, stream in await _firsts(streams) if name is not None]
    while heads:
        least = min(heads, key=lambda head: head[0])
        name, stream = least
        yield name
        heads.remove(least)
        if (following := await anext(stream, None)) is not None:
            heads.append((following, stream))


async def _pieces(names: AsyncIterator[str]) -> AsyncGenerator[Sequence[str], None]:
    piece: list[str] = []
    async for name in names:
        piece.append(name)
        if len(piece) == LOOK:
            yield piece
            piece = []
    if piece:
        yield piece
