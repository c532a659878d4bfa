"""A bucket in memory: objects by key, with the operations that S3 offers and no others.

It has no rename, no folders and no locks. Single requests are atomic, and nothing spans two of them. It offers what
the driver of a real bucket can use: conditions by ETag, lists in the order of keys, parts of a minimum size, copies
within the bucket (Amazon S3 API Reference: PutObject, DeleteObject, ListObjectsV2, UploadPart, UploadPartCopy).
"""

import hashlib
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from authproxy.clock import Clock

# The minimum length of each part of an upload but the last, in bytes (S3: 5 MiB), and the maximum number of parts.
MIN_PART_BYTES = 256 * 1024
MAX_PARTS = 10_000

# The most names or keys that one request lists.
MAX_KEYS = 1000


class Expired(Exception):
    """The signature of the request has expired."""


class ConditionFailed(Exception):
    """`If-Match` or `If-None-Match` doesn't hold."""


@dataclass(frozen=True)
class StoredObject:
    """One version of an object; a PUT replaces it."""

    content: bytes

    @cached_property
    def etag(self) -> str:
        """The value that conditions compare. Equal contents have equal ETags."""
        return hashlib.md5(self.content, usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class _Multipart:
    key: str  # fixed when the upload is created
    parts: dict[int, bytes] = field(default_factory=dict)


class Bucket:
    """Objects by key. Each method is one request."""

    def __init__(self, clock_s: Clock = time.monotonic) -> None:
        self.clock_s = clock_s  # the `Date` of its answers, in seconds
        self._objects: dict[str, StoredObject] = {}
        self._keys: list[str] = []  # sorted
        self._multiparts: dict[int, _Multipart] = {}
        self._last_multipart = 0

    def get(self, key: str) -> StoredObject | None:
        """GET or HEAD. None: 404."""
        return self._objects.get(key)

    def put(
        self,
        key: str,
        content: bytes,
        *,
        if_match: str | None = None,
        if_absent: bool = False,
        until: float | None = None,
    ) -> StoredObject:
        """PUT, with `If-Match: <etag>` or `If-None-Match: *` where asked. Raises ConditionFailed.

        `until`: by a signature that expires then. Raises Expired.
        """
        self._check_signature(until)
        found = self._objects.get(key)
        self._check(found, if_match)
        if if_absent and found is not None:
            raise ConditionFailed
        return self._store(key, content)

    def delete(self, key: str, *, until: float | None = None) -> None:
        """DELETE; no error where there is no object. It has no conditions: not every store has them.

        `until`: by a signature that expires then. Raises Expired.
        """
        self._check_signature(until)
        if key in self._objects:
            del self._objects[key]
            del self._keys[bisect_left(self._keys, key)]

    def list_keys(self, prefix: str) -> Iterator[str]:
        """All keys with a prefix, in order, page by page: changes made meanwhile may or may not show."""
        after = ""
        while True:
            first = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after))
            page = [key for key in self._keys[first : first + MAX_KEYS] if key.startswith(prefix)]
            yield from page
            if len(page) < MAX_KEYS:
                return
            after = page[-1]

    def list_names(self, folder: str, start_after: str) -> Iterator[str]:
        """The keys below `folder` greater than `start_after`, without `folder`, each cut after its first "/"; in order.

        `ListObjectsV2` with the delimiter "/": its common prefixes and keys.
        """
        at = bisect_right(self._keys, start_after)
        while at < len(self._keys) and (key := self._keys[at]).startswith(folder):
            name, slash, _ = key[len(folder) :].partition("/")
            yield name + slash
            # All keys below one prefix count as one.
            at = bisect_left(self._keys, f"{folder}{name}0") if slash else bisect_right(self._keys, key)

    def create_multipart(self, key: str) -> int:
        """Begin a multipart upload, and return its id."""
        self._last_multipart += 1
        self._multiparts[self._last_multipart] = _Multipart(key)
        return self._last_multipart

    def upload_part(self, multipart: int, number: int, content: bytes) -> None:
        """Send one part."""
        self._multiparts[multipart].parts[number] = content

    def copy_part(self, multipart: int, number: int, source: str) -> None:
        """Copy an object of the bucket into a part. Raises KeyError where it is gone."""
        self.upload_part(multipart, number, self._objects[source].content)

    def complete_multipart(self, multipart: int) -> None:
        """Join all parts in the order of their numbers, and make them visible at the key."""
        upload = self._multiparts[multipart]
        parts = [upload.parts[number] for number in sorted(upload.parts)]
        assert 0 < len(parts) <= MAX_PARTS, len(parts)
        assert all(len(part) >= MIN_PART_BYTES for part in parts[:-1]), "EntityTooSmall"
        del self._multiparts[multipart]
        self._store(upload.key, b"".join(parts))

    def abort_multipart(self, multipart: int) -> None:
        """Drop a multipart upload with its parts."""
        self._multiparts.pop(multipart, None)

    def _check_signature(self, until: float | None) -> None:
        if until is not None and self.clock_s() > until:
            raise Expired

    def _store(self, key: str, content: bytes) -> StoredObject:
        if key not in self._objects:
            self._keys.insert(bisect_left(self._keys, key), key)
        stored = self._objects[key] = StoredObject(content)
        return stored

    @staticmethod
    def _check(found: StoredObject | None, if_match: str | None) -> None:
        if if_match is not None and (found is None or found.etag != if_match):
            raise ConditionFailed
