"""Bodies of answers, read whole up to a bound: it counts the bytes that come of them, however well they are packed."""

import zlib
from collections.abc import Mapping

import httpx

# Sent with every question: nothing has to be unpacked then, unless a server ignores it.
IDENTITY: Mapping[str, str] = {"Accept-Encoding": "identity"}

# Of a body that nobody wants: past this a new connection costs less than the rest.
MAX_DISCARDED_BYTES = 64 << 10

_UNPACKED_BY_ZLIB = frozenset({"gzip", "x-gzip", "deflate"})
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # which of the two, its header says


class BadBody(Exception):
    """A body that is too large, or damaged: the words that follow "it answers with"."""


async def read_body(answer: httpx.Response, max_bytes: int) -> bytes:
    """Read all of a streamed answer's body, and close it. Raises BadBody, TransportError.

    Its `Content-Encoding` is gone then: httpx would unpack a whole piece at once, a thousand bytes for each one.
    """
    try:
        unpacker = _find_unpacker(answer.headers.pop("content-encoding", "identity").strip().lower())
        content = bytearray()
        passed = 0
        async for piece in answer.aiter_bytes():
            passed += len(piece)
            content += piece if unpacker is None else _unpack(unpacker, piece, max_bytes + 1 - len(content))
            if len(content) > max_bytes:
                raise BadBody(f"more than {max_bytes} bytes")
        if unpacker is not None and passed and not unpacker.eof:
            raise BadBody("content that cannot be decoded: its end is missing")
        return bytes(content)
    finally:
        await answer.aclose()


async def read_answer(answer: httpx.Response, max_bytes: int) -> httpx.Response:
    """A streamed answer as one with its content. Raises BadBody, TransportError."""
    content = await read_body(answer, max_bytes)
    headers = [pair for pair in answer.headers.raw if pair[0].lower() != b"transfer-encoding"]
    return httpx.Response(answer.status_code, headers=headers, content=content, request=answer.request)


async def discard(answer: httpx.Response) -> None:
    """Close a streamed answer; a short body is read, so that its connection can be used again. Raises nothing."""
    answer.headers.pop("content-encoding", None)  # or httpx would unpack it
    passed = 0
    try:
        async for piece in answer.aiter_bytes():
            passed += len(piece)
            if passed > MAX_DISCARDED_BYTES:
                break
    except httpx.TransportError:
        pass
    finally:
        await answer.aclose()


def _find_unpacker(coding: str) -> "zlib._Decompress | None":
    """What makes plain bytes of packed ones (RFC 9110 §8.4.1); None where they are plain. Raises BadBody."""
    if coding in {"", "identity"}:
        return None
    if coding not in _UNPACKED_BY_ZLIB:
        raise BadBody(f"content packed by {coding[:40]!r}, though it was asked for plain content")
    return zlib.decompressobj(_GZIP_OR_ZLIB)


def _unpack(unpacker: "zlib._Decompress", piece: bytes, max_bytes: int) -> bytes:
    try:
        return unpacker.decompress(piece, max_bytes)
    except zlib.error as error:
        raise BadBody(f"content that cannot be decoded: {error}") from error
