"""The catalog of registries behind us as one list: in bytewise order, by the names that clients use."""

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

# Entries of a page, where the client names no size.
DEFAULT_PAGE = 100


@dataclass(frozen=True, slots=True)
class CatalogPart:
    """What one registry adds: of `base` and all below it (by the clients' names; "" is all) those that `owns` takes."""

    content: ContentFor
    base: str
    renaming: Renaming
    owns: Callable[[str], bool]

    async def names(self, scope: asgi.Scope, after: str) -> AsyncGenerator[str, None]:
        """The clients' names behind `after`, in bytewise order. Raises what the registry raises, and GatewayFailed."""
        if self.base and after > f"{self.base}/" and not after.startswith(f"{self.base}/"):
            return
        first = self.renaming.add + f"{self.base}/".removeprefix(self.renaming.strip).rstrip("/")
        begun = self.renaming.add + after[len(self.renaming.strip) :] if after.startswith(self.renaming.strip) else ""
        # `last` is left out of an answer, and the first name may be there: one character less stands before it.
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
    shares: Sequence[CatalogPart],
    scope: asgi.Scope,
    receive: asgi.Receive,
    send: asgi.Send,
    shows: Callable[[str], bool],
    page: Page,
) -> None:
    """Answer with a page of the names that all shares have together and `shows` is true of.

    A registry that fails or has no catalog fails the whole: a list that lacks its names would look like a whole one.
    Raises ClientDisconnected when the client goes away meanwhile: nobody is asked any more then.
    """
    streams = [share.names(scope, page.last) for share in shares]
    async with watched(scope, receive), _merged(streams) as names:
        found = await find_shown(_pieces(names), shows, page)
    shown, link = next_link(scope[asgi.CLIENT_VIEW], CATALOG, page, found)
    body = f'{{"repositories":{to_json(shown)}}}'.encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *link]
    await asgi.respond(send, 200, headers, b"" if scope["method"] == "HEAD" else body)


@asynccontextmanager
async def _merged(streams: Sequence[AsyncGenerator[str, None]]) -> AsyncIterator[AsyncIterator[str]]:
    """Sorted streams as one; all of them are closed at the end of the block."""
    async with AsyncExitStack() as stack:
        for stream in streams:
            await stack.enter_async_context(aclosing(stream))
        yield _merge(streams)


async def _firsts(
    streams: Sequence[AsyncGenerator[str, None]],
) -> list[tuple[str | None, AsyncGenerator[str, None]]]:
    """The first name of each. All registries are asked at once, and the first failure ends the others' questions."""

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
