"""Records: small JSON objects in the storage that hold our own state, each replaced as a whole, by condition.

A record has the version of its form, and the nonce of the request that wrote it, so no two contents are ever equal: a
store whose conditions compare content (an ETag is its MD5) can't take an old record for the current one. And a writer
whose request was repeated on the way recognises its own content and does not take it for another's. See
docs/decisions/0069-keep-state-in-the-store.md.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from authproxy.errors import Unavailable
from authproxy.storage import state_layout
from authproxy.storage.driver import MAX_SMALL_BYTES, Driver
from authproxy.storage.layout import StorePath

# The version of every record's form: a node reads records of the same major version, and keeps fields it doesn't know.
VERSION = "1.0"

# Further attempts at replacing a record, each of which needs one more concurrent writer.
ATTEMPTS = 32

Fields: TypeAlias = Mapping[str, Any]


class RecordUnreadable(Unavailable):
    """A record is damaged, or of a newer version."""


class RecordTooNew(RecordUnreadable):
    """A record of a newer version."""


class RecordTooLong(Unavailable):
    """A record would be longer than small content, which nobody could read."""

    message = "a record of the registry would be too long"


class RecordContended(Unavailable):
    """Others replaced the record each time."""

    message = "too many requests change the same record of the registry; try again"

    def __init__(self) -> None:
        super().__init__(headers=[("Retry-After", "1")])


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was read or written: its fields, and its exact content, on which conditions depend."""

    path: StorePath
    content: bytes
    fields: Fields


class Records:
    """The records of one storage. Every read is past all caches."""

    def __init__(self, driver: Driver, *, new_nonce: Callable[[], str] = lambda: secrets.token_hex(8)) -> None:
        self._driver = driver
        self._new_nonce = new_nonce

    async def read(self, path: StorePath) -> Record | None:
        """The record at a path, if there is one. Raises RecordUnreadable."""
        [content] = await self._driver.read([path], fresh=True)
        return None if content is None else parse(path, content)

    async def create(self, path: StorePath, fields: Fields) -> Record | None:
        """Write a record where there is none. None: there is one. Raises StorageFull."""
        return await self._replace(path, fields, None)

    async def swap(self, record: Record, fields: Fields) -> Record | None:
        """Replace a record by another. None: it is not the current one any more. Raises StorageFull."""
        return await self._replace(record.path, fields, record.content)

    async def update(self, path: StorePath, change: Callable[[Fields], Fields | None]) -> Record | None:
        """Replace a record by what `change` makes of its fields (empty where there is none), and return it.

        `change` returning None leaves the record as it is: returns that. Raises RecordContended, RecordUnreadable,
        StorageFull.
        """
        for _ in range(ATTEMPTS):
            current = await self.read(path)
            fields = change(current.fields if current else {})
            if fields is None:
                return current
            if (written := await self._replace(path, fields, current.content if current else None)) is not None:
                return written
        raise RecordContended

    def encode(self, fields: Fields) -> bytes:
        """The content of a record with these fields, written now. Raises RecordTooLong."""
        text = json.dumps({**fields, "version": VERSION, "nonce": self._new_nonce()}, ensure_ascii=False)
        content = text.encode("utf-8", "surrogatepass")  # as json.loads reads it
        if len(content) > MAX_SMALL_BYTES:
            raise RecordTooLong
        return content

    async def _replace(self, path: StorePath, fields: Fields, expected: bytes | None) -> Record | None:
        content = self.encode(fields)
        if await self._driver.replace(path, content, expected=expected):
            return parse(path, content)
        # A request that was repeated on its way finds what it wrote itself.
        return parse(path, content) if await self._driver.read([path], fresh=True) == [content] else None


def parse(path: StorePath, content: bytes) -> Record:
    """Read the content of a record. Raises RecordUnreadable."""
    try:
        fields = json.loads(content)
        version = fields["version"]
        major = int(version.partition(".")[0])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        removed = state_layout.if_removed(path)
        raise RecordUnreadable(
            f"the record {path} in the storage is damaged; restore it from a backup of the storage"
            + (f", or remove it: {removed}" if removed else "")
        ) from None
    if major > int(VERSION.partition(".")[0]):
        raise RecordTooNew(f"the record {path} has the version {version}, which needs a newer authproxy")
    return Record(path, content, fields)


def is_newer(content: bytes) -> bool:
    """Whether a content that can't be read as a record is one of a newer version, and not damaged."""
    try:
        return int(json.loads(content)["version"].partition(".")[0]) > int(VERSION.partition(".")[0])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False
