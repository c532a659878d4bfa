"""The content that a stored manifest depends on. It may be invalid: another program may have written it."""

import hashlib
import json
from typing import Any, NamedTuple

from authproxy.bounded_cache import Bounded
from authproxy.digest import Digest
from authproxy.oci.manifest import find_digest
from authproxy.oci.media_types import NON_DISTRIBUTABLE

# What long manifests need is known by their SHA-256, so that each is parsed once: a hostile one takes 50 ms, an index
# may name thousands, and each push of the index follows all of them. In bytes.
KNOWN_FROM_BYTES = 16 * 1024
_KNOWN_BYTES = 16 * 1024 * 1024


class Dependencies(NamedTuple):
    """The digests that a manifest needs: an image's blobs, an index's manifests (OCI Image 1.1)."""

    blobs: frozenset[Digest] = frozenset()
    manifests: frozenset[Digest] = frozenset()
    elsewhere: frozenset[Digest] = frozenset()
    """Those of the blobs that a registry need not hold: see Descriptor.is_elsewhere."""


_known: Bounded[bytes, Dependencies] = Bounded(_KNOWN_BYTES)


def read_dependencies(content: bytes) -> Dependencies:
    """Parse a manifest's bytes. A manifest that cannot be read depends on nothing.

    Parsed as leniently as JSON allows: content with these digests is protected, and another program may have stored a
    manifest that our registry would refuse. Call it on the event loop.
    """
    if len(content) < KNOWN_FROM_BYTES:
        return _parse(content)
    key = hashlib.sha256(content).digest()
    if (known := _known.get(key)) is not None:
        _known.touch(key)
        return known
    found = _parse(content)
    _known.put(key, found, 300 + 300 * sum(map(len, found)))
    return found


def _parse(content: bytes) -> Dependencies:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return Dependencies()
    if not isinstance(body, dict):
        return Dependencies()
    layers = _entries(body.get("layers"))
    return Dependencies(
        _digests([body.get("config"), *layers]),
        _digests(_entries(body.get("manifests"))),
        _digests([each for each in layers if is_elsewhere(each)]),
    )


def is_elsewhere(entry: Any) -> bool:
    """Whether a registry need not hold a stored manifest's layer: see Descriptor.is_elsewhere."""
    return isinstance(entry, dict) and entry.get("mediaType") in NON_DISTRIBUTABLE and bool(entry.get("urls"))


def _entries(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _digests(descriptors: list[Any]) -> frozenset[Digest]:
    return frozenset(digest for descriptor in descriptors if (digest := find_digest(descriptor)) is not None)
