"""What a stored manifest depends on. Nobody has checked it: another program may have written it."""

from typing import Any, NamedTuple

from authproxy.digest import Digest
from authproxy.errors import ManifestInvalid
from authproxy.oci.manifest import find_digest, parse_object


class Dependencies(NamedTuple):
    """The digests that a manifest needs: an image's blobs, an index's manifests (OCI Image 1.1)."""

    blobs: frozenset[Digest] = frozenset()
    manifests: frozenset[Digest] = frozenset()


def read_dependencies(content: bytes) -> Dependencies:
    """Read a manifest's bytes. A manifest that cannot be read depends on nothing."""
    try:
        body = parse_object(content)
    except ManifestInvalid:
        return Dependencies()
    return Dependencies(
        _digests([body.get("config"), *_entries(body.get("layers"))]), _digests(_entries(body.get("manifests")))
    )


def _entries(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _digests(descriptors: list[Any]) -> frozenset[Digest]:
    return frozenset(digest for descriptor in descriptors if (digest := find_digest(descriptor)) is not None)
