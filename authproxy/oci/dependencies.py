"""What a stored manifest names, read without judging it: another program may have written it."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from authproxy.digest import Digest, parse_digest
from authproxy.errors import DigestInvalid


class Mentions(NamedTuple):
    """The digests that a manifest needs: an image's blobs, an index's manifests (OCI Image 1.1)."""

    blobs: frozenset[Digest] = frozenset()
    manifests: frozenset[Digest] = frozenset()


def read_mentions(content: bytes) -> Mentions:
    """Read a manifest's bytes; one that cannot be read names nothing."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return Mentions()
    if not isinstance(body, dict):
        return Mentions()
    blobs = [body.get("config"), *_entries(body.get("layers"))]
    return Mentions(frozenset(_digests(blobs)), frozenset(_digests(_entries(body.get("manifests")))))


def _entries(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _digests(descriptors: list[Any]) -> Iterator[Digest]:
    for descriptor in descriptors:
        match descriptor:
            case {"digest": str(text)}:
                try:
                    yield parse_digest(text)
                except DigestInvalid:
                    continue
            case _:
                continue
