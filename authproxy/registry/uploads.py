"""Uploads: POST /v2/<name>/blobs/uploads/ and its sessions (OCI Distribution 1.1, "Pushing blobs")."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from uuid import UUID

from authproxy import asgi
from authproxy.content import Content
from authproxy.digest import HEX_LENGTH, Digest, parse_digest
from authproxy.errors import DigestInvalid, RangeInvalid, RequestTimedOut, SizeInvalid
from authproxy.registry.exchange import Exchange
from authproxy.registry.links import blob_links, sizes_of
from authproxy.registry.mount_sources import MountSources
from authproxy.registry.promises import BeingDeleted, Promises
from authproxy.registry.ranges import format_received, parse_chunk_range
from authproxy.registry.sessions import Sessions
from authproxy.storage import layout
from authproxy.storage.driver import Driver, Upload
from authproxy.tag_protection import check_create

# How long the next piece of a body may take, in seconds: as in the usual nginx configurations for a registry.
PATIENCE_S = 900.0


class Uploads:
    """The way of a blob from its first byte to its link."""

    def __init__(
        self,
        driver: Driver,
        sessions: Sessions,
        mount_sources: MountSources,
        content: Content,
        promises: Promises,
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._driver = driver
        self._sessions = sessions
        self._mount_sources = mount_sources
        self._content = content
        self._promises = promises
        self._patience_s = patience_s

    async def post(self, exchange: Exchange) -> None:
        """Open a session, or receive the whole blob in this request (`?digest=`), or mount an existing blob."""
        await check_create(self._content, exchange.permissions, exchange.repository)
        if await self._mount(exchange):
            return
        digest = _parse_digest_parameter(exchange, "digest")
        hint = exchange.route.parameter("digest-algorithm") or "sha256"
        if hint not in HEX_LENGTH:
            known = ", ".join(HEX_LENGTH)
            raise DigestInvalid(f"digest-algorithm must be one of {known}", detail={"algorithm": hint[:50]})
        if digest is not None:
            await self._take_whole(exchange, digest)
            return
        async with self._sessions.create(exchange.repository, {hint}) as (session, _):
            pass
        await exchange.answer(202, _session_headers(exchange, session, 0))

    async def patch(self, exchange: Exchange) -> None:
        """Append a chunk. If it is interrupted, its received bytes stay; the session's status gives the size."""
        session = _session(exchange)
        async with self._sessions.open(exchange.repository, session) as upload:
            await _take_body(exchange, upload, self._patience_s)
            size = upload.size
        await exchange.answer(202, _session_headers(exchange, session, size))

    async def put(self, exchange: Exchange) -> None:
        """End a session: append the last chunk, if any, and store the blob. A wrong digest ends the session too."""
        digest = _parse_digest_parameter(exchange, "digest")
        if digest is None:
            raise DigestInvalid("the last request of an upload needs the digest of the content: ?digest=sha256:…")
        session = _session(exchange)
        async with self._sessions.open(exchange.repository, session, target=_find_target(digest)) as upload:
            await _take_body(exchange, upload, self._patience_s)
            await self._finish(exchange, upload, digest)

    async def get(self, exchange: Exchange) -> None:
        """Answer with the number of bytes received."""
        session = _session(exchange)
        size = await self._sessions.size(exchange.repository, session)
        await exchange.answer(204, _session_headers(exchange, session, size))

    async def delete(self, exchange: Exchange) -> None:
        """Cancel the session."""
        async with self._sessions.open(exchange.repository, _session(exchange)) as upload:
            await upload.abort()
        await exchange.answer(204)

    async def _take_whole(self, exchange: Exchange, digest: Digest) -> None:
        target = _find_target(digest)
        async with self._sessions.create(exchange.repository, {digest.algorithm}, target=target) as (_, upload):
            try:
                await _take_body(exchange, upload, self._patience_s)
                await self._finish(exchange, upload, digest)
            finally:
                await upload.abort()  # no effect after a commit; the client does not know the session's name

    async def _mount(self, exchange: Exchange) -> bool:
        """Link a blob of another repository. False: no source is known to have it, so the client must upload it."""
        mount = exchange.route.mount
        if mount is None:
            return False
        stored = await self._mount_sources.find_stored(mount)
        if stored is None:
            return False
        await self._driver.write_all([list(blob_links(exchange.repository, mount.digest, stored).items())])
        await self._promises.keep_pushed_blob(exchange.repository, mount.digest, stored)
        if await sizes_of(self._driver, [stored]) == [None]:  # collected meanwhile
            return False
        self._mount_sources.saw(mount.digest, exchange.repository)
        await exchange.answer(201, _blob_headers(exchange, mount.digest))
        return True

    async def _finish(self, exchange: Exchange, upload: Upload, digest: Digest) -> None:
        digests = await upload.digests({digest.algorithm, "sha256"})
        if digests[digest.algorithm] != digest:
            await upload.abort()
            raise DigestInvalid(detail={"expected": str(digest), "received": str(digests[digest.algorithm])})
        stored = digests["sha256"]
        # Before, so that no deletion takes what is put in place; and again, for what is condemned by then.
        await self._promises.keep_pushed_blob(exchange.repository, digest, stored)
        await upload.commit(layout.blob(stored), blob_links(exchange.repository, digest, stored))
        await self._promises.keep_pushed_blob(exchange.repository, digest, stored)
        if self._promises.epoch is not None and await sizes_of(self._driver, [stored]) == [None]:
            raise BeingDeleted(headers=[("Retry-After", "1")])  # the commit was held up for longer than a grace
        self._mount_sources.saw(digest, exchange.repository)
        await exchange.answer(201, _blob_headers(exchange, digest))


def _find_target(digest: Digest) -> layout.StorePath | None:
    """Where the blob of a digest will be stored. None: under its sha256 digest, which is known only at the end."""
    return layout.blob(digest) if digest.algorithm == "sha256" else None


async def _take_body(exchange: Exchange, upload: Upload, patience_s: float) -> None:
    """Append a request's body to an upload, whose size must be the offset that the client gives.

    Raises RangeInvalid for a chunk out of order, SizeInvalid where the body does not have the announced length,
    RequestTimedOut where the next piece takes longer than `patience_s` seconds, ClientDisconnected.
    """
    length = exchange.content_length()
    content_range = exchange.header(b"content-range")
    if content_range is not None:
        chunk = parse_chunk_range(content_range)
        if chunk.start != upload.size:
            raise RangeInvalid(
                f"the next byte of this upload is {upload.size}",
                detail={"content-range": content_range},
                headers=_session_headers(exchange, _session(exchange), upload.size) if exchange.route.session else (),
            )
        if length is not None and length != len(chunk):
            raise _wrong_length(len(chunk), length)
        length = len(chunk)
    received = 0
    async for piece in _in_time(asgi.body_pieces(exchange.receive), patience_s):
        received += len(piece)
        if length is not None and received > length:
            raise _wrong_length(length, received)
        await upload.write(piece)
    if length is not None and received != length:
        raise _wrong_length(length, received)


async def _in_time(pieces: AsyncGenerator[bytes, None], patience_s: float) -> AsyncIterator[bytes]:
    """The same pieces, as long as each arrives within `patience_s` seconds. Raises RequestTimedOut."""
    while True:
        try:
            async with asyncio.timeout(patience_s):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise RequestTimedOut(f"no data arrived for {patience_s:.0f} seconds") from None
        if piece is None:
            return
        yield piece


def _wrong_length(announced: int, received: int) -> SizeInvalid:
    return SizeInvalid(
        "the chunk does not have the announced length", detail={"announced": announced, "received": received}
    )


def _session(exchange: Exchange) -> str:
    assert exchange.route.session is not None
    return exchange.route.session


def _parse_digest_parameter(exchange: Exchange, name: str) -> Digest | None:
    value = exchange.route.parameter(name)
    return None if value is None else parse_digest(value)


def _session_headers(exchange: Exchange, session: str | UUID, size: int) -> list[tuple[str, str]]:
    return [
        ("Location", exchange.location(f"blobs/uploads/{session}")),
        ("Docker-Upload-UUID", str(session)),
        ("Range", format_received(size)),
    ]


def _blob_headers(exchange: Exchange, digest: Digest) -> list[tuple[str, str]]:
    return [("Location", exchange.location(f"blobs/{digest}")), ("Docker-Content-Digest", str(digest))]
