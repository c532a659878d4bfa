"""The few words of ASGI that every part speaks: messages, headers, bodies, what the edge leaves in a scope."""

import asyncio
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from urllib.parse import unquote_plus

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

# Keys that the edge sets in a scope before a backend sees it.
ROUTE = "authproxy.route"  # route.Route
CLIENT_VIEW = "authproxy.client_view"  # client_view.ClientView
GRANT = "authproxy.grant"  # access.Grant; absent where the registry is open
REQUEST_ID = "authproxy.request_id"  # a text that stands in the answer too, and in each log's line about the request

# Key of the request's Departure, where the server has one: the cheap way to learn that the client has gone.
DEPARTURE = "authproxy.departure"

# Key of what was found out about a request's connection and headers; see `facts`.
FACTS = "authproxy.facts"


class ClientDisconnected(Exception):
    """The client went away before its request or our answer was complete. Nobody is left to answer."""


class Departure:
    """Where to say that a client has gone before its answer was complete."""

    __slots__ = ("_calls", "_has_come")

    def __init__(self) -> None:
        self._calls: list[Callable[[], object]] = []
        self._has_come = False

    def tell(self, call: Callable[[], object]) -> None:
        """Call this when the client goes, at once if it has gone already."""
        self._calls.append(call)
        if self._has_come:
            call()

    def forget(self, call: Callable[[], object]) -> None:
        """Whoever was to be called does not want to know any more."""
        self._calls.remove(call)

    def come(self) -> None:
        """The client has gone."""
        self._has_come = True
        for call in tuple(self._calls):
            call()


class ContentTooLong(ValueError):
    """A body over the caller's limit."""


def find_header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """The first value of a header (`name` in lower case), decoded as Latin-1, or None."""
    for key, value in headers:
        if key == name:
            return value.decode("latin-1").strip()
    return None


def facts(scope: Scope) -> dict[Any, Any]:
    """What is known already about the headers of a request and the connection that it came on, and nothing else of it.

    A server that sees the same headers again on a connection hands the same facts on with them, so that each is worked
    out once. What may end (whether a token holds) is no such fact. What depends on who works it out as well has that
    object for its key. Other headers have other facts: see `with_headers`.
    """
    found: dict[Any, Any] = scope.setdefault(FACTS, {})
    return found


def with_headers(scope: Scope, headers: Headers, changes: Mapping[str, Any] | None = None) -> Scope:
    """The same request with other headers, and with what else changes. Nothing is known about it yet."""
    return {**scope, **(changes or {}), "headers": headers, FACTS: {}}


async def body_pieces(receive: Receive) -> AsyncGenerator[bytes, None]:
    """The body of a request as it arrives, without empty pieces. Raises ClientDisconnected where it breaks off."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        if piece := message.get("body", b""):
            yield piece
        if not message.get("more_body", False):
            return


async def read_body(receive: Receive, max_bytes: int) -> bytes:
    """A small body, whole. Raises ContentTooLong past `max_bytes`, ClientDisconnected where it breaks off."""
    body = bytearray()
    async for piece in body_pieces(receive):
        body += piece
        if len(body) > max_bytes:
            raise ContentTooLong(f"more than {max_bytes} bytes")
    return bytes(body)


async def respond(send: Send, status: int, headers: Iterable[tuple[str, str]], body: bytes = b"") -> None:
    """Send a whole small answer. Characters that no header may hold are replaced, so that no input splits an answer."""
    await send_whole(send, status, encode_headers(headers), body)


async def redirect(scope: Scope, send: Send, status: int, path: str, headers: Iterable[tuple[str, str]] = ()) -> None:
    """Redirect to another path with the same query, on the host and below the prefix that the client uses."""
    query = scope["query_string"].decode("latin-1")
    location = scope[CLIENT_VIEW].prefix + path + (f"?{query}" if query else "")
    await respond(send, status, [*headers, ("Location", location), ("Content-Length", "0")])


async def send_whole(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    """`respond` with headers that are encoded already."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def encode_headers(headers: Iterable[tuple[str, str]]) -> Headers:
    """Text pairs as ASGI's byte pairs: names in lower case, control characters and what Latin-1 lacks as `?`."""
    return [
        _encode_header(name, value) if len(value) <= MAX_REMEMBERED else _encode(name, value) for name, value in headers
    ]


# Longest value, in characters, that is worth remembering: most headers of most answers are the same few.
MAX_REMEMBERED = 256


def _encode(name: str, value: str) -> tuple[bytes, bytes]:
    encoded = value if value.isprintable() else "".join(c if c.isprintable() else "?" for c in value)
    return name.lower().encode("ascii"), encoded.encode("latin-1", "replace")


_encode_header = functools.lru_cache(maxsize=4096)(_encode)


@asynccontextmanager
async def watch_disconnect(receive: Receive) -> AsyncIterator[asyncio.Event]:
    """An event that is set when the client goes away while an answer is being sent.

    For requests whose body has been read or does not matter: it takes the remaining messages. Servers drop what is
    sent to a client that has gone, so a long answer asks this event between pieces.
    """
    gone = asyncio.Event()

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    watcher = asyncio.create_task(watch(), name="watch for disconnect")
    try:
        yield gone
    finally:
        watcher.cancel()
        await asyncio.wait([watcher])


def strip_fields(query_string: bytes, *names: str) -> bytes:
    """A query without the fields of these names, however they are escaped; what stays is untouched, byte for byte.

    Old servers part fields at `;` too, so a field that hides one behind it goes as a whole.
    """
    return b"&".join(
        field
        for field in query_string.split(b"&")
        if not any(unquote_plus(part.partition(b"=")[0].decode("latin-1")) in names for part in field.split(b";"))
    )
