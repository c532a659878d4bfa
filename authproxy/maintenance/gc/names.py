"""What the manifests of one repository name, as sorted records, and what these are joined with. No I/O of its own.

A record is the 32 bytes of a SHA-256 digest, the number of the manifest that names it, and how: NAMED,
SUBJECT, or ELSEWHERE for a layer that the registry need not hold.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from authproxy.digest import Digest

DIGEST_BYTES = 32
NAME_BYTES = DIGEST_BYTES + 5

# The number of a manifest that is kept without being among those listed.
EXTRA = 2**32 - 1

NAMED, SUBJECT, ELSEWHERE = b"\0", b"\1", b"\2"


def to_digest(stored: bytes) -> Digest:
    """The digest of 32 bytes."""
    return Digest("sha256", stored.hex())


def pack_name(digest: bytes, number: int, how: bytes) -> bytes:
    """One record."""
    return digest + number.to_bytes(4) + how


def with_numbers(named: Iterable[bytes], revisions: Iterable[bytes]) -> Iterator[tuple[bytes, int | None, int, bytes]]:
    """Each digest that a manifest names, its number among the revisions (None: it is none), the manifest's, and how."""
    listed = enumerate(revisions)
    number, node = next(listed, (0, None))
    for record in named:
        digest, source = record[:DIGEST_BYTES], int.from_bytes(record[DIGEST_BYTES : DIGEST_BYTES + 4])
        while node is not None and node < digest:
            number, node = next(listed, (0, None))
        yield digest, number if node == digest else None, source, record[DIGEST_BYTES + 4 :]


class Name(NamedTuple):
    """A digest that manifests name."""

    digest: bytes
    is_kept: bool  # a kept manifest names it
    is_needed: bool  # and not only as a layer that the registry need not hold


def by_digest(named: Iterable[bytes], kept: bytearray) -> Iterator[Name]:
    """Each digest that manifests name, once."""
    last, is_kept, is_needed = b"", False, False
    for record in named:
        how = record[DIGEST_BYTES + 4 :]
        if how == SUBJECT:
            continue
        digest, source = record[:DIGEST_BYTES], int.from_bytes(record[DIGEST_BYTES : DIGEST_BYTES + 4])
        if digest != last:
            if last:
                yield Name(last, is_kept, is_needed)
            last, is_kept, is_needed = digest, False, False
        if source == EXTRA or kept[source]:
            is_kept = True
            is_needed = is_needed or how == NAMED
    if last:
        yield Name(last, is_kept, is_needed)


def join(layers: Iterable[bytes], named: Iterator[Name]) -> Iterator[tuple[bytes, bool, bool | None]]:
    """Each digest of either: whether it is a layer, and whether a kept manifest names it (None: no manifest does).

    What is no layer counts as named only where it is needed.
    """
    name = next(named, None)
    for layer in layers:
        while name is not None and name.digest < layer:
            yield name.digest, False, name.is_needed
            name = next(named, None)
        if name is not None and name.digest == layer:
            yield layer, True, name.is_kept
            name = next(named, None)
        else:
            yield layer, True, None
    while name is not None:
        yield name.digest, False, name.is_needed
        name = next(named, None)
