"""A cache of responses: most requests ask for the same few manifests, lists and blobs.

A response is cached with a test of the storage whether the content it was made of is unchanged, and is sent again as
long as that holds. So it can't go stale: a deletion, or a tag that was moved, shows in the next request.
"""

from collections.abc import Awaitable, Hashable, Sequence

from authproxy import asgi
from authproxy.bounded_cache import Bounded
from authproxy.digest import Digest
from authproxy.registry import preconditions
from authproxy.registry.exchange import Exchange
from authproxy.storage.driver import IsCurrent

# The size of the cache, and of an entry besides its content, in bytes.
MAX_BYTES = 32 * 1024 * 1024
ENTRY_BYTES = 3000


class CachedResponse:
    """A whole response with its headers. With a `digest` it is the content of that digest, and may be answered by 304.

    `stored` is the digest under which that is stored. `headers` are sent with 304 too (RFC 9110 §15.4.5).
    """

    __slots__ = ("_about", "_content", "_digest", "_headers", "stored")

    def __init__(
        self,
        content: bytes,
        media_type: str,
        *,
        digest: Digest | None = None,
        stored: Digest | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.stored = stored
        self._content = content
        self._digest = digest
        self._about = headers
        framing = [("Content-Type", media_type), ("Content-Length", str(len(content)))]
        self._headers = asgi.encode_headers([*headers, *framing])

    @property
    def size(self) -> int:
        """The length of the content in bytes."""
        return len(self._content)

    def send(self, exchange: Exchange) -> Awaitable[None]:
        """Answer with 200 or, by the request's conditions, with 304."""
        if self._digest is not None and preconditions.is_unchanged(exchange, self._digest):
            return exchange.answer(304, self._about)
        return asgi.send_whole(exchange.send, 200, self._headers, b"" if exchange.is_head else self._content)


class ResponseCache:
    """A bounded number of responses, each under the key that identifies its request."""

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        self._kept: Bounded[Hashable, tuple[IsCurrent, CachedResponse]] = Bounded(max_bytes)  # oldest goes first

    def find(self, key: Hashable) -> CachedResponse | None:
        """The response, if it is still right."""
        kept = self._kept.get(key)
        return kept[1] if kept is not None and kept[0]() else None

    def put(self, key: Hashable, response: CachedResponse, is_current: IsCurrent | None) -> None:
        """Cache a response as long as `is_current` holds. None: the storage has no test, so it is not cached."""
        if is_current is None:
            self._kept.pop(key)
        else:
            self._kept.put(key, (is_current, response), ENTRY_BYTES + response.size)
