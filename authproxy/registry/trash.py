"""The trash: a record for each deletion, written before its first link goes, so that all of it can be restored.

A record holds what the repository's links said: the manifest under each of its names, its notes in lists of referrers,
the blobs that it needs, and its tags. As long as it exists, the collector keeps the content of all these.
"""

import json
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import accumulate, takewhile
from typing import Any

from authproxy.digest import Digest, parse_digest
from authproxy.errors import RegistryError
from authproxy.reference import Repository, Tag, parse_tag
from authproxy.registry.repository_walk import repositories_in_state
from authproxy.storage import state_layout
from authproxy.storage.driver import Driver, list_all
from authproxy.storage.layout import StorePath
from authproxy.storage.records import VERSION, Records, RecordUnreadable, parse

# Tags, and bytes of notes, in one record, which is small content. A manifest may have any number of tags, and the
# collector removes hundreds of referrers together, each with a note of up to half a megabyte.
MAX_TAGS = 10_000
MAX_NOTES_BYTES = 1024 * 1024

# In the name of a record, so that a repository's deletions are listed in the order of time.
_TIME = "%Y%m%dT%H%M%S%fZ"


@dataclass(frozen=True, slots=True)
class Links:
    """What a deletion removes, or did. Each mapping leads from a name to what the link says."""

    tags: Mapping[Tag, Digest] = field(default_factory=dict)
    revisions: Mapping[Digest, Digest] = field(default_factory=dict)
    layers: Mapping[Digest, Digest] = field(default_factory=dict)
    referrers: Mapping[tuple[Digest, Digest], bytes] = field(default_factory=dict)  # subject and referrer → note

    @property
    def stored(self) -> set[Digest]:
        """The digests of the content that these links lead to."""
        return {*self.revisions.values(), *self.layers.values()}


@dataclass(frozen=True, slots=True)
class Deleted:
    """One deletion. `at` is for people; the time in the trash is counted from `tick` on (maintenance/ticks.py)."""

    repository: Repository
    name: str  # of its record
    at: datetime
    by: str
    why: str
    tick: int
    links: Links

    @property
    def path(self) -> StorePath:
        """Where its record is."""
        return state_layout.trash_record(self.repository, self.name)


class Trash:
    """The trash of a storage."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._records = Records(driver)

    async def record(self, repository: Repository, links: Links, *, at: datetime, by: str, why: str) -> None:
        """Record what is about to be removed. Durable on return. Raises StorageFull: then nothing may be removed."""
        ticks = await self._records.read(state_layout.gc_tick())
        tick = 0 if ticks is None else int(ticks.fields.get("tick", 0))
        for part in _in_parts(links):
            name = f"{at.astimezone(UTC).strftime(_TIME)}-{secrets.token_hex(8)}"
            deleted = Deleted(repository, name, at, by, why, tick, part)
            await self._driver.write(deleted.path, _to_content(deleted))

    async def of(self, repository: Repository) -> AsyncIterator[Deleted]:
        """What was deleted in a repository, the oldest first. Raises RecordUnreadable."""
        async for names in list_all(self._driver, state_layout.trash_of(repository)):
            for name in names:
                if (deleted := await self.find(repository, name)) is not None:
                    yield deleted

    async def find(self, repository: Repository, name: str) -> Deleted | None:
        """The deletion with a record of this name. Raises RecordUnreadable."""
        [content] = await self._driver.read([state_layout.trash_record(repository, name)], fresh=True)
        return None if content is None else _parse(repository, name, content)

    async def forget(self, deleted: Deleted) -> None:
        """Remove a record: what it holds can't be restored from now on, or has been."""
        await self._driver.delete(deleted.path)

    async def repositories(self) -> AsyncIterator[Repository]:
        """The repositories in which something was deleted."""
        async for name in repositories_in_state(self._driver, state_layout.trash_below):
            yield name


def _in_parts(links: Links) -> Iterator[Links]:
    """The same links in parts that fit into a record. Each part keeps the content of all."""
    tags, notes = list(links.tags.items()), list(links.referrers.items())
    is_first = True
    while is_first or tags or notes:
        is_first = False
        count = _count_fitting(note for _, note in notes)
        yield Links(dict(tags[:MAX_TAGS]), links.revisions, links.layers, dict(notes[:count]))
        tags, notes = tags[MAX_TAGS:], notes[count:]


def _count_fitting(notes: Iterable[bytes]) -> int:
    """How many of these notes, at least one, have MAX_NOTES_BYTES together."""
    lengths = accumulate(map(len, notes))
    return max(1, sum(1 for _ in takewhile(lambda length: length <= MAX_NOTES_BYTES, lengths)))


def _to_content(deleted: Deleted) -> bytes:
    links = deleted.links
    fields = {
        "version": VERSION,
        "nonce": secrets.token_hex(8),
        "at": deleted.at.astimezone(UTC).isoformat(),
        "by": deleted.by,
        "why": deleted.why,
        "tick": deleted.tick,
        "tags": {tag: str(digest) for tag, digest in links.tags.items()},
        "revisions": _to_texts(links.revisions),
        "layers": _to_texts(links.layers),
        "referrers": [
            [str(subject), str(referrer), note.decode("utf-8", "surrogateescape")]
            for (subject, referrer), note in links.referrers.items()
        ],
    }
    return json.dumps(fields).encode()


def _to_texts(links: Mapping[Digest, Digest]) -> dict[str, str]:
    return {str(name): str(stored) for name, stored in links.items()}


def _parse(repository: Repository, name: str, content: bytes) -> Deleted:
    path = state_layout.trash_record(repository, name)
    fields = parse(path, content).fields
    try:
        links = Links(
            {parse_tag(tag): parse_digest(digest) for tag, digest in fields["tags"].items()},
            _from_texts(fields["revisions"]),
            _from_texts(fields["layers"]),
            {
                (parse_digest(subject), parse_digest(referrer)): note.encode("utf-8", "surrogateescape")
                for subject, referrer, note in fields["referrers"]
            },
        )
        at = datetime.fromisoformat(fields["at"])
        return Deleted(
            repository, name, at, _as_text(fields["by"]), _as_text(fields["why"]), int(fields["tick"]), links
        )
    except (KeyError, TypeError, ValueError, AttributeError, RegistryError):
        raise RecordUnreadable(
            f"the record {path} in the storage is damaged; remove it to give up what it holds"
        ) from None


def _as_text(found: Any) -> str:
    """Without lone surrogates, which a foreign token's subject may have and UTF-8 has not."""
    return str(found).encode("utf-8", "replace").decode()


def _from_texts(links: Any) -> dict[Digest, Digest]:
    return {parse_digest(name): parse_digest(stored) for name, stored in links.items()}
