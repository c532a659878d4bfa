"""The content that a stored manifest depends on. It may be invalid: another program may have written it."""

import json
from typing import Any, NamedTuple

from authproxy.digest import Digest
from authproxy.oci.manifest import find_digest
from authproxy.oci.media_types import NON_DISTRIBUTABLE


class Dependencies(NamedTuple):
    """The digests that a manifest needs: an image's blobs, an index's manifests (OCI Image 1.1)."""

    blobs: frozenset[Digest] = frozenset()
    manifests: frozenset[Digest] = frozenset()


def read_dependencies(content: bytes) -> Dependencies:
    """Parse a manifest's bytes. A manifest that cannot be read depends on nothing.

    Parsed as leniently as JSON allows: content with these digests is protected, and another program may have stored a
    manifest that our registry would refuse.
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return Dependencies()
    if not isinstance(body, dict):
        return Dependencies()
    return Dependencies(
        _digests([body.get("config"), *_entries(body.get("layers"))]), _digests(_entries(body.get("manifests")))
    )


def find_elsewhere(content: bytes) -> frozenset[Digest]:
    """The layers of a stored manifest that a registry need not hold: see Descriptor.is_elsewhere."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return frozenset()
    if not isinstance(body, dict):
        return frozenset()
    return _digests([each for each in _entries(body.get("layers")) if is_elsewhere(each)])


def is_elsewhere(entry: Any) -> bool:
    """Whether a registry need not hold a stored manifest's layer: see Descriptor.is_elsewhere."""
    return isinstance(entry, dict) and entry.get("mediaType") in NON_DISTRIBUTABLE and bool(entry.get("urls"))


def _entries(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _digests(descriptors: list[Any]) -> frozenset[Digest]:
    return frozenset(digest for descriptor in descriptors if (digest := find_digest(descriptor)) is not None)
