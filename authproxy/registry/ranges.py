"""Byte ranges: the part of a blob that a client requests, and the place of a chunk in an upload."""

import re

from authproxy.errors import RangeInvalid

# RFC 9110 §14.1.2: first-byte-pos "-" [last-byte-pos], or "-" suffix-length. Bounded here: int() refuses 4300 digits.
_BYTE_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,40})-([0-9]{0,40})[ \t]*", re.IGNORECASE)

# OCI Distribution 1.1, "Pushing a blob in chunks": ^[0-9]+-[0-9]+$. Eighteen digits make an exabyte.
_CHUNK_RANGE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


def parse_range(value: str | None, size: int) -> range | None:
    """The offsets that a `Range` header requests, of content with `size` bytes. None: the whole content, with 200.

    One range of bytes: "first-last", "first-" or "-suffix"; an end past the content is cut off. Other units and several
    ranges at once are ignored: RFC 9110 §14.2 allows a server to answer with the whole content.
    Raises RangeInvalid where the range is malformed, runs backwards, or contains no byte of the content.
    """
    if value is None or not value.lower().startswith("bytes=") or "," in value:
        return None
    match = _BYTE_RANGE.fullmatch(value)
    if match is None or not (match[1] or match[2]):
        raise _unsatisfiable(value, size)
    if not match[1]:
        if size == 0 and int(match[2]):
            return None  # §14.1.2: satisfiable, by the whole; Content-Range can't express a part of empty content
        found = range(max(0, size - int(match[2])), size)
    else:
        last = int(match[2]) if match[2] else size
        if last < int(match[1]):
            raise _unsatisfiable(value, size)
        found = range(int(match[1]), min(last + 1, size))
    if not found:
        raise _unsatisfiable(value, size)
    return found


def parse_chunk_range(value: str) -> range:
    """Parse the `Content-Range` of an upload chunk, "<first>-<last>": offsets in bytes, both inclusive.

    Unlike RFC 9110 §14.4 it has no unit and no total: OCI Distribution 1.1, "Pushing a blob in chunks".
    Raises RangeInvalid where it is malformed or runs backwards.
    """
    match = _CHUNK_RANGE.fullmatch(value)
    if match is None or int(match[1]) > int(match[2]):
        raise RangeInvalid("Content-Range must be <first>-<last>", detail={"content-range": value[:100]})
    return range(int(match[1]), int(match[2]) + 1)


def format_received(size: int) -> str:
    """The `Range` of an upload session: "0-<last byte>", and "0-0" where it is empty."""
    return f"0-{max(0, size - 1)}"


def _unsatisfiable(value: str, size: int) -> RangeInvalid:
    return RangeInvalid(
        f"the blob has {size} bytes", detail={"range": value[:100]}, headers=[("Content-Range", f"bytes */{size}")]
    )
