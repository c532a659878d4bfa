"""The ASGI types and functions of every part: messages, headers, bodies, and the keys of our own in a scope."""

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
REQUEST_ID = "authproxy.request_id"  # also in the response, and in each log line about the request

# Key of the request's Departure, if the server provides one: the cheap way to learn that the client has disconnected.
DEPARTURE = "authproxy.departure"

# Key of the cached facts about a request's connection and headers; see `facts`.
FACTS = "authproxy.facts"


class ClientDisconnected(Exception):
    """The client disconnected before its request or our response was complete."""


class Departure:
    """Notifies when a client disconnects before its response is complete."""

    __slots__ = ("_calls", "_is_set")

    def __init__(self) -> None:
        self._calls: list[Callable[[], object]] = []
        self._is_set = False

    def add_callback(self, call: Callable[[], object]) -> None:
        """Call this when the client disconnects; at once if it already has."""
        self._calls.append(call)
        if self._is_set:
            call()

    def remove_callback(self, call: Callable[[], object]) -> None:
        """Remove a callback."""
        self._calls.remove(call)

    def set(self) -> None:
        """The client has disconnected."""
        self._is_set = True
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
    """Facts derived only from a request's headers and connection, cached between requests.

    The server hands out the same dictionary while a connection repeats the same headers, so each fact is computed once.
    Facts must never expire (whether a token is valid is not a fact). A fact that depends on the object that computes it
    has that object as its key. Other headers have other facts: see `with_headers`.
    """
    found: dict[Any, Any] = scope.setdefault(FACTS, {})
    return found


def with_headers(scope: Scope, headers: Headers, changes: Mapping[str, Any] | None = None) -> Scope:
    """The same request with other headers and `changes`. It starts without facts."""
    return {**scope, **(changes or {}), "headers": headers, FACTS: {}}


async def body_pieces(receive: Receive) -> AsyncGenerator[bytes, None]:
    """The body of a request as it arrives, without empty pieces. Raises ClientDisconnected if it is cut off."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        if piece := message.get("body", b""):
            yield piece
        if not message.get("more_body", False):
            return


async def read_body(receive: Receive, max_bytes: int) -> bytes:
    """A small body, whole. Raises ContentTooLong past `max_bytes`, ClientDisconnected if it is cut off."""
    body = bytearray()
    async for piece in body_pieces(receive):
        body += piece
        if len(body) > max_bytes:
            raise ContentTooLong(f"more than {max_bytes} bytes")
    return bytes(body)


async def respond(send: Send, status: int, headers: Iterable[tuple[str, str]], body: bytes = b"") -> None:
    """Send a whole small response. Characters not allowed in headers are replaced, so no input can split a response."""
    await send_whole(send, status, encode_headers(headers), body)


async def redirect(scope: Scope, send: Send, status: int, path: str, headers: Iterable[tuple[str, str]] = ()) -> None:
    """Redirect to another path with the same query, on the client's host and below its prefix."""
    query = scope["query_string"].decode("latin-1")
    location = scope[CLIENT_VIEW].prefix + path + (f"?{query}" if query else "")
    await respond(send, status, [*headers, ("Location", location), ("Content-Length", "0")])


async def send_whole(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    """`respond` with encoded headers."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def encode_headers(headers: Iterable[tuple[str, str]]) -> Headers:
    """Text pairs as ASGI's byte pairs: names in lower case; control and non-Latin-1 characters become `?`."""
    return [
        _encode_header(name, value) if len(value) <= MAX_REMEMBERED else _encode(name, value) for name, value in headers
    ]


# Longest value, in characters, that is cached: most headers of most responses are the same few.
MAX_REMEMBERED = 256


def _encode(name: str, value: str) -> tuple[bytes, bytes]:
    encoded = value if value.isprintable() else "".join(c if c.isprintable() else "?" for c in value)
    return name.lower().encode("ascii"), encoded.encode("latin-1", "replace")


_encode_header = functools.lru_cache(maxsize=4096)(_encode)


@asynccontextmanager
async def watch_disconnect(receive: Receive) -> AsyncIterator[asyncio.Event]:
    """An event that is set when the client disconnects while a response is being sent.

    For requests whose body has been read or is irrelevant: it consumes the remaining messages. Servers drop what is
    sent to a disconnected client, so a long response checks this event between pieces.
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
    """A query without the fields of these names, however they are escaped; the rest stays byte for byte.

    Old servers split fields at `;` too, so a field that hides one after a `;` is removed whole.
    """
    return b"&".join(
        field
        for field in query_string.split(b"&")
        if not any(unquote_plus(part.partition(b"=")[0].decode("latin-1")) in names for part in field.split(b";"))
    )
