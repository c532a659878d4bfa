"""One upload of a blob: OCI Distribution 1.1, "Pushing a blob in chunks" and "Pushing a blob monolithically".

A small blob is sent in one request. A large one is sent in one PATCH, as docker does, or in several of a limited size,
for proxies that limit the body of a request. If one is interrupted, the registry is asked how much it has, and the rest
is sent in another.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence

import httpx

from authproxy.access import Access
from authproxy.images.endpoints import Interrupted
from authproxy.oci.manifest import Descriptor
from authproxy.registry_client.client import UNAUTHORIZED, RegistryClient
from authproxy.registry_client.errors import RegistryClientError, refused
from authproxy.registry_client.retry import TRANSIENT

CREATED, ACCEPTED, NO_CONTENT = 201, 202, 204
NOT_FOUND, TOO_LARGE, RANGE_INVALID = 404, 413, 416

# A smaller blob is sent again instead of being resumed.
MAX_AT_ONCE_BYTES = 8 << 20

# Responses to a body that do not concern it: an expired token, an upload that is gone or another client's.
_TRY_AGAIN = TRANSIENT | {UNAUTHORIZED, NOT_FOUND, RANGE_INVALID}

# The `Range` of an upload's status: `0-<last byte>`.
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})")

# OCI Distribution 1.1, "Pushing a blob in chunks": the header for the smallest chunk that is not the last one.
_CHUNK_MIN_LENGTH = "oci-chunk-min-length"
_COUNT = re.compile(r"[0-9]{1,18}")

# Time for a registry to notice a closed connection, before it is asked what it has.
SETTLE_S = 0.2


def is_mounted(answer: httpx.Response) -> bool:
    """Whether the registry has mounted a blob from another repository."""
    return answer.status_code == CREATED


def open_upload(
    registry: RegistryClient,
    needs: Sequence[Access],
    answer: httpx.Response,
    what: str,
    chunk_bytes: int | None = None,
) -> "Upload | None":
    """The upload in the response to a POST, if any. `chunk_bytes`: how much of a blob one request may have.

    Raises RegistryClientError if the registry wants larger chunks.
    """
    if answer.status_code != ACCEPTED or "location" not in answer.headers:
        return None
    least = answer.headers.get(_CHUNK_MIN_LENGTH, "")
    if chunk_bytes is not None and _COUNT.fullmatch(least) and int(least) > chunk_bytes:
        raise RegistryClientError(
            f"{what}: the registry takes chunks of at least {least} bytes; use a larger chunk size"
        )
    return Upload(registry, needs, _location(answer, answer.url), what, chunk_bytes)


class Upload:
    """One session. `can_resume`: it accepts the rest of an interrupted blob."""

    def __init__(
        self,
        registry: RegistryClient,
        needs: Sequence[Access],
        url: httpx.URL,
        what: str,
        chunk_bytes: int | None = None,
    ) -> None:
        self._registry = registry
        self._needs = needs
        self._url = url
        self._what = what
        self._chunk_bytes = chunk_bytes
        self.can_resume = False

    async def take(self, descriptor: Descriptor, chunks: AsyncIterator[bytes], start: int) -> None:
        """Send a blob from `start` on, and close the session. Raises Interrupted, RegistryClientError."""
        self.can_resume = False
        chunk_bytes = self._chunk_bytes or descriptor.size
        if descriptor.size <= min(MAX_AT_ONCE_BYTES, chunk_bytes):
            await self._send("PUT", self._closing(descriptor), descriptor.size, chunks)
            return
        body = _Body(chunks)
        while start < descriptor.size:
            end = min(start + chunk_bytes, descriptor.size)
            headers = {} if end - start == descriptor.size else {"Content-Range": f"{start}-{end - 1}"}
            try:
                answer = await self._send("PATCH", self._url, end - start, body.take(end - start), headers)
            except Interrupted as error:
                raise Interrupted(str(error), await self._ask_kept(descriptor)) from error
            self._url = _location(answer, self._url)
            start = end
        answer = await self._registry.ask("PUT", self._closing(descriptor), self._needs)
        if answer.status_code in _TRY_AGAIN:  # 404 too: the request may be a repetition after a lost response
            raise Interrupted(str(refused(answer, self._what)))
        if answer.status_code != CREATED:
            raise refused(answer, self._what)

    async def cancel(self) -> None:
        """Cancel the upload. If that fails, the registry's own cleanup removes it."""
        await self._registry.ask("DELETE", self._url, self._needs)

    async def _send(
        self,
        method: str,
        url: httpx.URL,
        count: int,
        chunks: AsyncIterator[bytes],
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        framing = {"Content-Length": str(count), "Content-Type": "application/octet-stream"}
        try:
            answer = await self._registry.send_once(
                method, url, self._needs, headers=framing | (headers or {}), content=chunks
            )
            answer = await self._registry.read(answer)
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
            raise Interrupted(f"{self._what}: the upload was interrupted: {why}") from error
        if answer.status_code in _TRY_AGAIN:
            raise Interrupted(str(refused(answer, self._what)))
        if answer.status_code == TOO_LARGE:
            raise RegistryClientError(
                f"{refused(answer, self._what)}: a proxy in front of the registry limits the body of a request;"
                f" this one has {count} bytes, send smaller ones with --chunk-size"
            )
        if answer.status_code not in {CREATED, ACCEPTED, NO_CONTENT}:
            raise refused(answer, self._what)
        return answer

    async def _ask_kept(self, descriptor: Descriptor) -> int:
        """How many bytes of an interrupted blob the registry has; 0 if unknown, for a new upload."""
        await asyncio.sleep(SETTLE_S)
        try:
            answer = await self._registry.ask("GET", self._url, self._needs)
        except RegistryClientError:
            return 0
        found = _RANGE.fullmatch(answer.headers.get("range", ""))
        if answer.status_code != NO_CONTENT or found is None:
            return 0
        kept = int(found[1]) + 1
        if not 1 < kept < descriptor.size:  # registries say `0-0` for nothing
            return 0
        self._url = _location(answer, self._url)
        self.can_resume = True
        return kept

    def _closing(self, descriptor: Descriptor) -> httpx.URL:
        return self._url.copy_merge_params({"digest": str(descriptor.digest)})


class _Body:
    """A blob as it comes, which several requests take their share of."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    async def take(self, count: int) -> AsyncIterator[bytes]:
        """The next `count` bytes, or fewer at the end."""
        while count:
            piece = self._rest or await anext(self._chunks, b"")
            if not piece:
                return
            self._rest = piece[count:]
            count -= len(piece) - len(self._rest)
            yield piece[: len(piece) - len(self._rest)]


def _location(answer: httpx.Response, before: httpx.URL) -> httpx.URL:
    try:
        return before.join(answer.headers.get("location", ""))
    except httpx.InvalidURL as error:
        raise RegistryClientError(f"the registry sent an invalid address for an upload: {error}") from error
