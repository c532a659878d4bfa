"""What a stored manifest keeps: the digests that it names. No I/O.

Stricter than the rest of the registry in one way: what it doesn't understand completely it refuses, and then all of the
repository is kept. More lenient in another: it takes each digest for a blob's as well as for a manifest's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from authproxy.budget import MAX_MANIFEST_PARTS
from authproxy.digest import Digest
from authproxy.errors import ManifestInvalid
from authproxy.oci.dependencies import is_elsewhere
from authproxy.oci.manifest import find_ambiguous, find_digest, infer_media_type, parse_object
from authproxy.oci.media_types import MANIFESTS

# Lists of descriptors: an image has one, an index the other.
_LISTS = ("layers", "manifests")
_SHA256 = re.compile(rb"sha256:([0-9a-f]{64})")


class Unreadable(Exception):
    """What a manifest names is not known for certain. The message says why."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What one manifest names."""

    named: frozenset[Digest]
    """Its config, layers and manifests."""
    elsewhere: frozenset[Digest]
    """Layers that the registry need not hold: what the repository has a link to is kept, and no bytes without one."""
    subject: Digest | None


def read_needs(content: bytes | None) -> Needs:
    """Parse a manifest's bytes; None if there are none, or too many. Raises Unreadable."""
    if not content:
        raise Unreadable("its content is empty" if content is not None else "its content is missing")
    try:
        body = parse_object(content, max_parts=MAX_MANIFEST_PARTS)
        media_type = infer_media_type(body)
    except ManifestInvalid as error:
        raise Unreadable(str(error)) from None
    # Docker's schema 1 has no media type, and lists its layers elsewhere.
    if media_type not in MANIFESTS or body.get("schemaVersion") != 2:  # noqa: PLR2004
        raise Unreadable(f"its type is not known: {_type_of(body, media_type)}")
    if (strange := find_ambiguous(body)) is not None:
        raise Unreadable(f"it has the field {strange[:40]!r}")
    digests = list(_named(body))
    named = frozenset(digest for digest, need_not_be_held in digests if not need_not_be_held)
    elsewhere = frozenset(digest for digest, _ in digests) - named
    subject = body.get("subject")
    return Needs(named, elsewhere, _digest(subject, "subject") if subject is not None else None)


def sha256_digests(content: bytes) -> Iterator[bytes]:
    """The 32 bytes of every SHA-256 digest anywhere in a manifest that can't be read."""
    return (bytes.fromhex(found[1].decode()) for found in _SHA256.finditer(content))


def _type_of(body: dict[str, Any], media_type: str) -> str:
    version = body.get("schemaVersion")
    return media_type[:200] if media_type not in MANIFESTS else f"{media_type}, schemaVersion {str(version)[:20]}"


def _named(body: dict[str, Any]) -> Iterator[tuple[Digest, bool]]:
    """Each digest, and whether it is of a layer that the registry need not hold."""
    if (config := body.get("config")) is not None:
        yield _digest(config, "config"), False
    for key in _LISTS:
        entries = body.get(key)
        if entries is None:
            continue
        if not isinstance(entries, list):
            raise Unreadable(f"{key} is not a list")
        for place, entry in enumerate(entries):
            yield _digest(entry, f"{key}[{place}]"), key == "layers" and is_elsewhere(entry)


def _digest(descriptor: object, place: str) -> Digest:
    found = find_digest(descriptor)
    if found is None:
        raise Unreadable(f"{place} has no digest")
    return found
