"""The records of pulls: segments, as one process writes them in a minute, and shards, into which they are merged.

Times are whole seconds since 1970, never earlier than the pull. A manifest is named by the hex digits of the sha256
digest under which it is stored; the tag "" is a pull by digest. `by` is the subject; "" anonymous, None not recorded.

    segment  {"to": time, "all": bool, "pulls": {repository: {manifest: {tag: by}}}}
    shard    {"pulls": {manifest: {tag: [time, by]}}, "dropped": time, "split": bool}

`all`: any manifest may have been pulled until then. `dropped`: the same for the manifests that the shard doesn't name.
`split`: this is `all`, and the manifests are in shards by their first two hex digits.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeGuard

from authproxy.digest import HEX_LENGTH
from authproxy.errors import TagInvalid
from authproxy.reference import Repository, is_repository, parse_tag
from authproxy.storage.layout import StorePath
from authproxy.storage.records import Fields, RecordUnreadable, parse

# The shard of a repository with few manifests.
WHOLE = "all"

# The last second that a datetime has.
MAX_TIME = 253402300799

# The most of a subject that is stored: a foreign token's may have any length.
MAX_SUBJECT = 255

# Where each manifest of a repository was pulled last: by tag, the time and the subject.
Latest: TypeAlias = dict[str, dict[str, "Pulled"]]


class Pulled(NamedTuple):
    """The last pull of a manifest by a tag."""

    at: int
    by: str | None


class Segment(NamedTuple):
    """The pulls of one process in one minute."""

    to: int
    is_all: bool
    pulls: Mapping[Repository, Latest]


class Shard(NamedTuple):
    """The last pulls of a repository, or of a part of its manifests."""

    pulls: Latest
    dropped: int = 0
    is_split: bool = False

    def fields(self) -> Fields:
        """As a record."""
        pulls = {manifest: {tag: list(pull) for tag, pull in tags.items()} for manifest, tags in self.pulls.items()}
        fields: dict[str, Any] = {"pulls": pulls}
        return fields | ({"dropped": self.dropped} if self.dropped else {}) | ({"split": True} if self.is_split else {})

    def with_latest(self, found: Latest) -> "Shard":
        """The same with other pulls, where they are later."""
        pulls = {manifest: dict(tags) for manifest, tags in self.pulls.items()}
        merge_into(pulls, found)
        return self._replace(pulls=pulls)

    def without(self, manifests: frozenset[str], *, before: int) -> "Shard":
        """The same without these manifests, except those that were pulled since `before`."""
        gone = {hexes: latest for hexes in manifests if (latest := self.latest(hexes)) is not None and latest < before}
        pulls = {hexes: tags for hexes, tags in self.pulls.items() if hexes not in gone}
        return self._replace(pulls=pulls, dropped=max(self.dropped, *gone.values()) if gone else self.dropped)

    def at_most(self, max_bytes: int) -> "Shard":
        """The same in so many bytes: a pull by any tag becomes one by digest; then the oldest pulls are dropped."""
        if size_of(self.fields()) <= max_bytes:
            return self
        latest = {
            hexes: {"": max(tags.values(), key=lambda pull: pull.at)} for hexes, tags in self.pulls.items() if tags
        }
        shard = self._replace(pulls=latest)
        while size_of(shard.fields()) > max_bytes:
            by_age = sorted(shard.pulls, key=lambda hexes: shard.latest(hexes) or 0)
            oldest = frozenset(by_age[: len(by_age) // 2 + 1])
            shard = shard.without(oldest, before=MAX_TIME + 1)
        return shard

    def latest(self, manifest: str) -> int | None:
        """The last pull of a manifest, by any tag or none."""
        return max((pull.at for pull in self.pulls.get(manifest, {}).values()), default=None)


def merge_into(pulls: Latest, found: Latest) -> None:
    """Add pulls, where they are later."""
    for manifest, tags in found.items():
        known = pulls.setdefault(manifest, {})
        for tag, pull in tags.items():
            if tag not in known or known[tag].at < pull.at:
                known[tag] = pull


def parse_segment(path: StorePath, content: bytes) -> Segment:
    """Read a segment. Raises RecordUnreadable."""
    fields = parse(path, content).fields
    to, pulls = fields.get("to"), fields.get("pulls")
    if not _is_time(to) or not isinstance(pulls, dict):
        raise RecordUnreadable(f"the record {path} in the storage is damaged: it has no valid time or pulls")
    found: dict[Repository, Latest] = {}
    for repository, manifests in pulls.items():
        if is_repository(repository):
            found[Repository(repository)] = {
                hexes: {tag: Pulled(to, _subject(by)) for tag, by in tags} for hexes, tags in _entries(manifests)
            }
    return Segment(to, fields.get("all") is True, found)


def parse_shard(path: StorePath, fields: Fields) -> Shard:
    """Read the fields of a shard. Raises RecordUnreadable."""
    pulls, dropped = fields.get("pulls", {}), fields.get("dropped", 0)
    if not isinstance(pulls, dict) or not _is_time(dropped):
        raise RecordUnreadable(f"the record {path} in the storage is damaged: it has no valid pulls")
    found: Latest = {}
    for hexes, tags in _entries(pulls):
        for tag, pull in tags:
            if not (isinstance(pull, list) and len(pull) == len(Pulled._fields) and _is_time(pull[0])):
                raise RecordUnreadable(f"the record {path} in the storage is damaged: it has no valid time")
            found.setdefault(hexes, {})[tag] = Pulled(pull[0], _subject(pull[1]))
    return Shard(found, dropped, fields.get("split") is True)


def size_of(fields: Fields) -> int:
    """The length of a record with these fields, about."""
    return len(json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace"))


def _entries(manifests: object) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    if isinstance(manifests, dict):
        for hexes, tags in manifests.items():
            if len(hexes) == HEX_LENGTH["sha256"] and not hexes.strip("0123456789abcdef") and isinstance(tags, dict):
                yield hexes, [(tag, value) for tag, value in tags.items() if not tag or _is_tag(tag)]


def _is_tag(text: str) -> bool:
    try:
        parse_tag(text)
    except TagInvalid:
        return False
    return True


def _is_time(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TIME


def _subject(value: object) -> str | None:
    return value[:MAX_SUBJECT] if isinstance(value, str) else None
