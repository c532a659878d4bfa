import gzip
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest

from authproxy.http.client.bounded_body import MAX_DISCARDED_BYTES, BadBody, discard, read_body

TEXT = b"what a registry says " * 100


class Pieces(httpx.AsyncByteStream):
    """A body that comes in pieces of a size; counts what was taken, and whether it was closed."""

    def __init__(self, content: bytes, size: int = 1 << 16) -> None:
        self.content, self.size = content, size
        self.taken = 0
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.content), self.size):
            piece = self.content[start : start + self.size]
            self.taken += len(piece)
            yield piece

    async def aclose(self) -> None:
        self.is_closed = True


def answer(body: Pieces, coding: str | None = None) -> httpx.Response:
    return httpx.Response(200, headers={} if coding is None else {"content-encoding": coding}, stream=body)


READ = [
    ("plain", None, TEXT),
    ("said to be plain", "identity", TEXT),
    ("gzip", "gzip", gzip.compress(TEXT)),
    ("gzip in capitals", " GZIP", gzip.compress(TEXT)),
    ("zlib", "deflate", zlib.compress(TEXT)),
]


@pytest.mark.parametrize(("coding", "content"), [row[1:] for row in READ], ids=[row[0] for row in READ])
@pytest.mark.parametrize("size", [1, 7, 1 << 16])
async def test_body_is_read_however_it_is_packed(coding: str | None, content: bytes, size: int) -> None:
    body = Pieces(content, size)
    assert await read_body(answer(body, coding), len(TEXT)) == TEXT
    assert body.is_closed


REFUSED = [
    ("plain", None, TEXT, "more than 100 bytes"),
    ("packed", "gzip", gzip.compress(bytes(1 << 24)), "more than 100 bytes"),
    ("damaged", "gzip", gzip.compress(TEXT)[:10] + b"damaged", "cannot be decoded"),
    ("not packed at all", "gzip", TEXT, "cannot be decoded"),
    ("another packing", "br", TEXT, "encoded by 'br'"),
    ("packed twice", "gzip, gzip", gzip.compress(gzip.compress(TEXT)), "encoded by 'gzip, gzip'"),
]


@pytest.mark.parametrize(("coding", "content", "why"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_body_that_is_too_large_or_damaged_is_told(coding: str | None, content: bytes, why: str) -> None:
    body = Pieces(content)
    with pytest.raises(BadBody, match=why):
        await read_body(answer(body, coding), 100)
    assert body.is_closed


async def test_body_that_nobody_wants_is_not_read_to_its_end() -> None:
    short, long = Pieces(TEXT), Pieces(bytes(1 << 24))
    for body in (short, long):
        await discard(answer(body, "gzip"))
        assert body.is_closed
    assert short.taken == len(TEXT)
    assert long.taken <= 2 * MAX_DISCARDED_BYTES
