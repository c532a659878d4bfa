"""Read whole bodies of responses up to a limit, which counts the decoded bytes: compression can't exceed it."""

import zlib
from collections.abc import Mapping

import httpx

# Sent with every request, so that no body needs decoding unless a server ignores it.
IDENTITY: Mapping[str, str] = {"Accept-Encoding": "identity"}

# Of an unwanted body: beyond this a new connection costs less than reading the rest.
MAX_DISCARDED_BYTES = 64 << 10

_DECODED_BY_ZLIB = frozenset({"gzip", "x-gzip", "deflate"})
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # zlib recognizes which of the two by the header


class BadBody(Exception):
    """A body that is too large, or damaged: the text completes "it answers with"."""


async def read_body(answer: httpx.Response, max_bytes: int) -> bytes:
    """Read the whole body of a streamed response, and close it. Raises BadBody, TransportError.

    Removes its `Content-Encoding`: httpx would decode a whole piece at once, up to a thousand bytes for each byte.
    """
    try:
        decoder = _find_decoder(answer.headers.pop("content-encoding", "identity").strip().lower())
        content = bytearray()
        received = 0
        async for piece in answer.aiter_bytes():
            received += len(piece)
            content += piece if decoder is None else _decode(decoder, piece, max_bytes + 1 - len(content))
            if len(content) > max_bytes:
                raise BadBody(f"more than {max_bytes} bytes")
        if decoder is not None and received and not decoder.eof:
            raise BadBody("content that cannot be decoded: its end is missing")
        return bytes(content)
    finally:
        await answer.aclose()


async def read_answer(answer: httpx.Response, max_bytes: int) -> httpx.Response:
    """Turn a streamed response into one with its content. Raises BadBody, TransportError."""
    content = await read_body(answer, max_bytes)
    headers = [pair for pair in answer.headers.raw if pair[0].lower() != b"transfer-encoding"]
    return httpx.Response(answer.status_code, headers=headers, content=content, request=answer.request)


async def discard(answer: httpx.Response) -> None:
    """Close a streamed response; a short body is read, so that the connection can be used again. Never raises."""
    answer.headers.pop("content-encoding", None)  # or httpx would decode it
    received = 0
    try:
        async for piece in answer.aiter_bytes():
            received += len(piece)
            if received > MAX_DISCARDED_BYTES:
                break
    except httpx.TransportError:
        pass
    finally:
        await answer.aclose()


def _find_decoder(coding: str) -> "zlib._Decompress | None":
    """The decoder of a content coding (RFC 9110 §8.4.1); None if there is no coding. Raises BadBody."""
    if coding in {"", "identity"}:
        return None
    if coding not in _DECODED_BY_ZLIB:
        raise BadBody(f"content encoded by {coding[:40]!r}, although the request asked for plain content")
    return zlib.decompressobj(_GZIP_OR_ZLIB)


def _decode(decoder: "zlib._Decompress", piece: bytes, max_bytes: int) -> bytes:
    try:
        return decoder.decompress(piece, max_bytes)
    except zlib.error as error:
        raise BadBody(f"content that cannot be decoded: {error}") from error
