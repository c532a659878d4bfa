"""Answers that were made before and are still right: most requests ask for the same few manifests, lists and blobs.

An answer is kept with a test by the storage that what it was made of has not changed, and is sent again as long as
that holds. So it can't go stale: what was deleted, or a tag that was set anew, is seen with the next request.
"""

from collections.abc import Awaitable, Hashable, Sequence

from authproxy import asgi
from authproxy.bounded_cache import Bounded
from authproxy.digest import Digest
from authproxy.registry import preconditions as conditions
from authproxy.registry.exchange import Exchange
from authproxy.storage.driver import Still

# All that is kept, in bytes; and what an entry takes beside its content.
MAX_BYTES = 32 * 1024 * 1024
ENTRY_BYTES = 3000


class Answer:
    """A whole answer with its headers. With a `digest` it is content that this names, and may be known to the client.

    `headers` go out with the word that it has not changed too (RFC 9110 §15.4.5).
    """

    __slots__ = ("_about", "_content", "_digest", "_headers")

    def __init__(
        self, content: bytes, media_type: str, *, digest: Digest | None = None, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        self._content = content
        self._digest = digest
        self._about = headers
        framing = [("Content-Type", media_type), ("Content-Length", str(len(content)))]
        self._headers = asgi.encode_headers([*headers, *framing])

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return len(self._content)

    def send(self, exchange: Exchange) -> Awaitable[None]:
        """Answer with 200 or, where the request's conditions say so, without content."""
        if self._digest is not None and conditions.is_unchanged(exchange, self._digest):
            return exchange.answer(304, self._about)
        return asgi.send_whole(exchange.send, 200, self._headers, b"" if exchange.is_head else self._content)


class Answers:
    """A bounded number of answers, each under the question that it answers."""

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        self._kept: Bounded[Hashable, tuple[Still, Answer]] = Bounded(max_bytes)  # the one kept longest goes first

    def find(self, question: Hashable) -> Answer | None:
        """The answer, where it is still right."""
        kept = self._kept.get(question)
        return kept[1] if kept is not None and kept[0]() else None

    def keep(self, question: Hashable, answer: Answer, still: Still | None) -> None:
        """Keep an answer as long as `still` holds; None: it is not to be kept."""
        if still is None:
            self._kept.pop(question)
        else:
            self._kept.put(question, (still, answer), ENTRY_BYTES + answer.size)
