"""What the manifests of one repository name, as sorted records, and what these are joined with. No I/O of its own.

A record is the 32 bytes of a SHA-256 digest, the number of the manifest that names it, and how: NAMED or SUBJECT.
"""

from collections.abc import Iterable, Iterator

from authproxy.digest import Digest

DIGEST_BYTES = 32
NAME_BYTES = DIGEST_BYTES + 5

# The number of a manifest that is kept without being among those listed.
EXTRA = 2**32 - 1

NAMED, SUBJECT = b"\0", b"\1"


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


def by_digest(named: Iterable[bytes], kept: bytearray) -> Iterator[tuple[bytes, bool]]:
    """Each digest that manifests name, once, and whether a kept one does."""
    last, is_kept = b"", False
    for record in named:
        if record[DIGEST_BYTES + 4 :] == SUBJECT:
            continue
        digest, source = record[:DIGEST_BYTES], int.from_bytes(record[DIGEST_BYTES : DIGEST_BYTES + 4])
        if digest != last:
            if last:
                yield last, is_kept
            last, is_kept = digest, False
        is_kept = is_kept or source == EXTRA or bool(kept[source])
    if last:
        yield last, is_kept


def join(layers: Iterable[bytes], named: Iterator[tuple[bytes, bool]]) -> Iterator[tuple[bytes, bool, bool | None]]:
    """Each digest of either: whether it is a layer, and whether a kept manifest names it (None: no manifest does)."""
    name, is_named = next(named, (None, False))
    for layer in layers:
        while name is not None and name < layer:
            yield name, False, is_named
            name, is_named = next(named, (None, False))
        if name == layer:
            yield layer, True, is_named
            name, is_named = next(named, (None, False))
        else:
            yield layer, True, None
    while name is not None:
        yield name, False, is_named
        name, is_named = next(named, (None, False))
