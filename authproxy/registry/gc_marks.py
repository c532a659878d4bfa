"""The marks of what the garbage collector has condemned: a short fingerprint of each link, and of each content's bytes.

See docs/explanation/garbage-collection.md.
"""

import hashlib
from bisect import bisect_left
from enum import Enum
from mmap import mmap

from authproxy.digest import Digest
from authproxy.reference import Repository

# Bytes of a mark. Of 10⁸ marks two are equal with a probability of 10⁻²³; then the collector spares one for the other.
MARK_BYTES = 16


class Kind(Enum):
    """What a mark is of. The value is part of the mark: it never changes."""

    BYTES = "bytes"
    """The bytes of a content, which all repositories share: the mark names no repository."""
    LAYER = "layer"
    """A repository's link to a blob."""
    REVISION = "revision"
    """A repository's link to a manifest."""


def mark_of(kind: Kind, repository: Repository | None, digest: Digest) -> bytes:
    """The mark of a link of a repository, or of a content's bytes (`repository` None).

    `digest` of a link is the one in its path; that of bytes is the one under which they are stored.
    """
    return hashlib.sha256(f"{kind.value}\0{repository or ''}\0{digest}".encode()).digest()[:MARK_BYTES]


def shard_of(mark: bytes | bytearray) -> str:
    """The part of a list that has a mark: its first byte, as hex digits."""
    return f"{mark[0]:02x}"


def contains(marks: bytes | mmap, mark: bytes) -> bool:
    """Whether a sorted list, its marks one after the other, has this mark."""
    place = bisect_left(
        range(len(marks) // MARK_BYTES), mark, key=lambda at: marks[at * MARK_BYTES : (at + 1) * MARK_BYTES]
    )
    return marks[place * MARK_BYTES : (place + 1) * MARK_BYTES] == mark
