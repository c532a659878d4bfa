"""Blobs: GET, HEAD, DELETE /v2/<name>/blobs/<digest> (OCI Distribution 1.1, "Pulling blobs")."""

from typing import NamedTuple

from authproxy import asgi
from authproxy.content import Content
from authproxy.digest import Digest
from authproxy.errors import BlobUnknown
from authproxy.registry import preconditions
from authproxy.registry.deleter import BY_REQUEST, Deleter, Reason
from authproxy.registry.exchange import Exchange
from authproxy.registry.links import EMPTY, blob_names, sizes_of, stored_blobs, to_link
from authproxy.registry.promises import Promises
from authproxy.registry.ranges import parse_range
from authproxy.registry.response_cache import CachedResponse, ResponseCache
from authproxy.storage import layout
from authproxy.storage.driver import PIECE_BYTES, Driver, NotFound, Reader
from authproxy.tag_protection import check_delete

# Blobs up to this length, in bytes, are sent in one go and cached: configurations, signatures, empty layers.
SMALL_BYTES = 64 * 1024


class Blobs:
    """The blobs of all repositories."""

    def __init__(self, driver: Driver, content: Content, deleter: Deleter, promises: Promises) -> None:
        self._driver = driver
        self._promises = promises
        self._deleter = deleter
        self._content = content
        self._cache = ResponseCache()

    async def get(self, exchange: Exchange) -> None:
        """Answer with a blob, a part of it, or its headers. Stops when the client disconnects."""
        is_whole = exchange.is_head or exchange.header(b"range") is None  # RFC 9110 §14.2: Range is for GET alone
        if is_whole and (response := self._cache.find((exchange.repository, exchange.digest))):
            await response.send(exchange)
            return
        # The content under a digest never changes, so a client that has it need not ask again.
        headers = [
            ("Docker-Content-Digest", str(exchange.digest)),
            ("ETag", preconditions.etag(exchange.digest)),
            ("Cache-Control", "max-age=31536000, immutable"),
        ]
        stored = await self._find(exchange)
        if self._promises.epoch is not None:
            await self._promises.keep_blob(exchange.repository, exchange.digest, stored)
            stored = await self._find(exchange, fresh=True)  # it may have been collected before the promise
        try:
            if exchange.is_head or not is_whole:
                await self._answer_by_size(exchange, headers, stored, is_whole=is_whole)
                return
            async with self._driver.open_reader(layout.blob(stored)) as reader:
                if reader.size > SMALL_BYTES:
                    if preconditions.is_unchanged(exchange, exchange.digest):
                        await exchange.answer(304, headers)
                    else:
                        await _send(exchange, _frame(exchange, headers, reader.size), reader)
                    return
                is_there = reader.size > 0 or stored == EMPTY  # see links.sizes_of
        except NotFound:
            is_there = False
        if not is_there:
            raise _unknown(exchange)
        await self._answer_small(exchange, headers, stored)

    async def delete(self, exchange: Exchange) -> None:
        """Remove a blob from this repository, unless a manifest in it needs the blob. Other repositories keep it."""
        stored = await self._find(exchange)
        names = await blob_names(self._driver, exchange.repository, stored)
        await check_delete(self._content, exchange.permissions, exchange.repository, names)
        await self._deleter.delete_blob(exchange.repository, names, stored, Reason(exchange.subject, BY_REQUEST))
        await exchange.answer(202)

    def forget_responses(self) -> None:
        """Make every promise again: what is condemned has changed."""
        self._cache = ResponseCache()

    async def _find(self, exchange: Exchange, *, fresh: bool = False) -> Digest:
        """The digest under which the blob is stored."""
        stored = await stored_blobs(self._driver, exchange.repository, [exchange.digest], fresh=fresh)
        if exchange.digest not in stored:
            raise _unknown(exchange)
        return stored[exchange.digest]

    async def _answer_by_size(
        self, exchange: Exchange, headers: list[tuple[str, str]], stored: Digest, *, is_whole: bool
    ) -> None:
        """Answer HEAD, or with a part of a blob: the size decides whether it is opened. Raises NotFound."""
        [size] = await sizes_of(self._driver, [stored])
        if size is None:
            raise NotFound
        if is_whole and size <= SMALL_BYTES:
            await self._answer_small(exchange, headers, stored)
            return
        if preconditions.is_unchanged(exchange, exchange.digest):
            await exchange.answer(304, headers)
            return
        frame = _frame(exchange, headers, size)
        if exchange.is_head:
            length = ("Content-Length", str(len(frame.part)))
            await asgi.respond(exchange.send, frame.status, [*frame.headers, length])
            return
        async with self._driver.open_reader(layout.blob(stored), frame.part.start, len(frame.part)) as reader:
            await _send(exchange, frame, reader)

    async def _answer_small(self, exchange: Exchange, headers: list[tuple[str, str]], stored: Digest) -> None:
        [content] = await self._driver.read([layout.blob(stored)])
        if content is None:
            raise _unknown(exchange)
        headers = [*headers, ("Accept-Ranges", "bytes")]
        response = CachedResponse(content, "application/octet-stream", digest=exchange.digest, headers=headers)
        # By its sha512 digest a blob is stored under another one, so this check does not find it, and it is not cached.
        held = (layout.layer_link(exchange.repository, exchange.digest), to_link(exchange.digest))
        key = (exchange.repository, exchange.digest)
        self._cache.put(key, response, self._driver.content_check([held, (layout.blob(exchange.digest), content)]))
        await response.send(exchange)


def _unknown(exchange: Exchange) -> BlobUnknown:
    return BlobUnknown(detail={"digest": str(exchange.digest)})


class _Frame(NamedTuple):
    """A response with content: its status, the offsets of the blob's bytes in it, its headers without the length."""

    status: int
    part: range
    headers: list[tuple[str, str]]


def _frame(exchange: Exchange, headers: list[tuple[str, str]], size: int) -> _Frame:
    common = [*headers, ("Content-Type", "application/octet-stream"), ("Accept-Ranges", "bytes")]
    may_be_partial = not exchange.is_head and preconditions.may_be_partial(exchange, exchange.digest)
    part = parse_range(exchange.header(b"range") if may_be_partial else None, size)
    if part is None:
        return _Frame(200, range(size), common)
    return _Frame(206, part, [*common, ("Content-Range", f"bytes {part[0]}-{part[-1]}/{size}")])


async def _send(exchange: Exchange, frame: _Frame, reader: Reader) -> None:
    """Send the response of a frame. Raises NotFound before anything has been sent."""
    part = frame.part
    pieces = reader.pieces(part.start, len(part))
    if len(part) <= PIECE_BYTES:
        await exchange.answer(frame.status, frame.headers, b"".join([piece async for piece in pieces]))
        return
    async with asgi.watch_disconnect(exchange.receive) as gone:
        first = await anext(pieces)  # from here on the content stays readable
        headers = asgi.encode_headers([*frame.headers, ("Content-Length", str(len(part)))])
        await exchange.send({"type": "http.response.start", "status": frame.status, "headers": headers})
        rest = len(part) - len(first)
        await exchange.send({"type": "http.response.body", "body": first, "more_body": rest > 0})
        async for piece in pieces:
            if gone.is_set():
                raise asgi.ClientDisconnected
            rest -= len(piece)
            await exchange.send({"type": "http.response.body", "body": piece, "more_body": rest > 0})
