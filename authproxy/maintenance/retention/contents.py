"""The images of one repository, read from the storage: tags and untagged manifests, with their times and sizes.

All manifests of the repository are read, since any of them may name others. Only what is needed of each stays in
memory: about a kilobyte for an image of ten layers.
"""

import asyncio
import json
from array import array
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from authproxy.digest import HEX_LENGTH, Digest, parse_digest
from authproxy.errors import DigestInvalid
from authproxy.oci.manifest import find_digest
from authproxy.policy.retention import Image, RetentionRefused
from authproxy.reference import Repository, Tag
from authproxy.registry import links
from authproxy.registry.history import all_pushes
from authproxy.registry.tag_list import TagNames
from authproxy.storage import layout
from authproxy.storage.driver import Driver, list_all

# Manifests that are read at once, each of some megabytes at most. Other requests get a turn after each batch.
BATCH = 8
# Parsing more than this, in bytes, is done in a thread.
LARGE_BYTES = 64 * 1024
# What the manifests of a repository may name in all, counted once for each that names it; it stays in memory. A hundred
# thousand images of twenty layers name two millions.
MAX_REFERENCES = 10_000_000
# A descriptor's size beyond this is a slip or a lie: 2^50.
MAX_SIZE = 1 << 50


class PullTimes(Protocol):
    """When manifests were pulled last: registry/pull_times.py."""

    def records_began(self) -> datetime | None:
        """When the first pull could have been recorded. None: no pulls are recorded."""

    async def last_pull(self, repository: Repository, digest: Digest, tag: Tag | None) -> datetime | None:
        """When a manifest was pulled by a tag or by its digest; for `tag` None by any. None: unknown."""


@dataclass(slots=True)
class HeldManifest:
    """A manifest that the repository holds. Digests are those under which content is stored."""

    names: tuple[Digest, ...]  # every digest by which the repository holds it
    size: int = 0
    children: tuple[Digest, ...] = ()  # the manifests that it names
    subject: Digest | None = None
    blobs: Sequence[int] = ()  # places in RepositoryContents.blob_sizes


class Pushes(NamedTuple):
    """The pushes of a manifest to a tag that the history has: the last one, and how many."""

    last: datetime
    number: int


@dataclass(slots=True)
class RepositoryContents:
    """What retention needs to know of a repository."""

    repository: Repository
    manifests: dict[Digest, HeldManifest] = field(default_factory=dict)  # by the stored digest
    images: list[Image] = field(default_factory=list)
    pushes: dict[tuple[Digest, Tag | None], Pushes] = field(default_factory=dict)
    linked_by: dict[Tag, Digest] = field(
        default_factory=dict
    )  # tags whose links hold another digest than the stored one
    blob_sizes: list[int] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)  # manifests that could not be read: they may name any other
    references: int = 0

    def count(self, references: int) -> None:
        """Count what a manifest names. Raises RetentionRefused."""
        self.references += references
        if self.references > MAX_REFERENCES:
            raise RetentionRefused(
                f"{self.repository}: its manifests name more than {MAX_REFERENCES} others and blobs in all, which is"
                " more than is read; delete manifests with very many entries there"
            )

    def below(self, digests: Iterable[Digest]) -> set[Digest]:
        """These manifests and all that they name, as far as the repository holds them."""
        found: set[Digest] = set()
        waiting = list(digests)
        while waiting:
            digest = waiting.pop()
            if digest in self.manifests and digest not in found:
                found.add(digest)
                waiting.extend(self.manifests[digest].children)
        return found


async def read_contents(driver: Driver, repository: Repository, pull_times: PullTimes | None) -> RepositoryContents:
    """Read a repository. Raises RetentionRefused and the errors of the storage."""
    contents = RepositoryContents(repository)
    stored_as = await _read_revisions(driver, contents)
    await _read_manifests(driver, contents, stored_as)
    await _read_pushes(driver, contents)
    await _read_images(driver, contents, stored_as, pull_times)
    return contents


async def _read_revisions(driver: Driver, contents: RepositoryContents) -> dict[Digest, Digest]:
    """Every digest of a manifest here, with the one under which it is stored."""
    stored_as: dict[Digest, Digest] = {}
    names: defaultdict[Digest, list[Digest]] = defaultdict(list)
    async for digests in _revisions(driver, contents.repository):
        paths = [layout.revision_link(contents.repository, digest) for digest in digests]
        for digest, link in zip(digests, await driver.read(paths, fresh=True), strict=True):
            stored = links.find_digest(link)
            if stored is not None:
                stored_as[digest] = stored
                names[stored].append(digest)
            elif link:
                contents.unread.append(str(digest))
    contents.manifests = {stored: HeldManifest(tuple(found)) for stored, found in names.items()}
    return stored_as


async def _revisions(driver: Driver, repository: Repository) -> AsyncIterator[list[Digest]]:
    for algorithm in HEX_LENGTH:
        async for names in list_all(driver, layout.revisions(repository, algorithm)):
            found: list[Digest] = []
            for name in names:
                with suppress(DigestInvalid):
                    found.append(parse_digest(f"{algorithm}:{name}"))
            yield found


async def _read_manifests(driver: Driver, contents: RepositoryContents, stored_as: dict[Digest, Digest]) -> None:
    places: dict[bytes, int] = {}  # of blobs, by half of their digests
    digests = list(contents.manifests)
    for first in range(0, len(digests), BATCH):
        batch = digests[first : first + BATCH]
        read = await driver.read([layout.blob(digest) for digest in batch])
        for digest, content in zip(batch, read, strict=True):
            held = contents.manifests[digest]
            parsed = await _parse(content or b"")
            if parsed is None:
                contents.unread.append(str(digest))
                continue
            contents.count(len(parsed.manifests) + len(parsed.blobs))
            held.size = len(content or b"")
            held.children = tuple(stored_as[child] for child in parsed.manifests if child in stored_as)
            held.subject = None if parsed.subject is None else stored_as.get(parsed.subject, parsed.subject)
            held.blobs = array("L")
            for blob, size in parsed.blobs:
                place = places.setdefault(bytes.fromhex(blob.hex[:32]), len(contents.blob_sizes))
                if place == len(contents.blob_sizes):
                    contents.blob_sizes.append(size)
                held.blobs.append(place)
        await asyncio.sleep(0)


async def _read_pushes(driver: Driver, contents: RepositoryContents) -> None:
    async for push in all_pushes(driver, contents.repository):
        before = contents.pushes.get((push.digest, push.tag))
        contents.pushes[push.digest, push.tag] = (
            Pushes(push.at, 1) if before is None else Pushes(max(push.at, before.last), before.number + 1)
        )


async def _read_images(
    driver: Driver, contents: RepositoryContents, stored_as: dict[Digest, Digest], pull_times: PullTimes | None
) -> None:
    repository = contents.repository
    by_digest: dict[Digest, datetime] = {}
    for (digest, _), pushes in contents.pushes.items():
        by_digest[digest] = max(pushes.last, by_digest.get(digest, pushes.last))

    async def make(digest: Digest, tag: Tag | None) -> Image:
        pushes = contents.pushes.get((digest, tag)) if tag is not None else None
        names = frozenset(contents.below([digest]) - {digest}) if _names_any(contents, digest) else frozenset()
        contents.count(len(names))
        return Image(
            digest,
            tag,
            # A tag without a push of its own was set by something else: then its manifest's last push counts.
            by_digest.get(digest) if pushes is None else pushes.last,
            await _last_pull(pull_times, repository, digest, tag, names),
            names,
        )

    tagged: set[Digest] = set()
    async with aclosing(TagNames(driver).read_links(repository)) as tags:
        async for tag, link in tags:
            named = links.find_digest(link)
            if named is None:
                contents.unread.append(tag)
                continue
            stored = stored_as.get(named, named)
            if stored not in contents.manifests:
                contents.unread.append(tag)
            if stored != named:
                contents.linked_by[tag] = named
            tagged.add(stored)
            contents.images.append(await make(stored, tag))
    # A manifest that has had a tag was an image of its own: it doesn't become a part of an index that names it later.
    parts = {child for held in contents.manifests.values() for child in held.children}
    parts -= {digest for digest, tag in contents.pushes if tag is not None}
    for digest, held in contents.manifests.items():
        if digest not in tagged and digest not in parts and held.subject is None:
            contents.images.append(await make(digest, None))


async def _last_pull(
    pull_times: PullTimes | None, repository: Repository, digest: Digest, tag: Tag | None, names: Iterable[Digest]
) -> datetime | None:
    """The last pull of an image, or of what it names by its digest: a runtime may pull only its own platform."""
    if pull_times is None:
        return None
    pulls = [await pull_times.last_pull(repository, digest, tag)]
    pulls += [await pull_times.last_pull(repository, name, None) for name in names]
    latest = max((pull for pull in pulls if pull is not None), default=None)
    # That was no pull: it is what an unknown one counts as.
    return None if latest is not None and latest == pull_times.records_began() else latest


def _names_any(contents: RepositoryContents, digest: Digest) -> bool:
    return digest in contents.manifests and bool(contents.manifests[digest].children)


class _Parsed(NamedTuple):
    manifests: tuple[Digest, ...]
    blobs: tuple[tuple[Digest, int], ...]
    subject: Digest | None


async def _parse(content: bytes) -> _Parsed | None:
    if len(content) > LARGE_BYTES:
        return await asyncio.to_thread(_parse_now, content)
    return _parse_now(content)


def _parse_now(content: bytes) -> _Parsed | None:
    """What a manifest names, whatever else it is. None: it is no JSON object."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    manifests = [digest for entry in _entries(body.get("manifests")) if (digest := find_digest(entry)) is not None]
    blobs = [
        (digest, _size(entry))
        for entry in (body.get("config"), *_entries(body.get("layers")))
        if (digest := find_digest(entry)) is not None
    ]
    return _Parsed(tuple(dict.fromkeys(manifests)), tuple(dict(blobs).items()), find_digest(body.get("subject")))


def _entries(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _size(entry: Any) -> int:
    size = entry.get("size")
    return size if isinstance(size, int) and 0 <= size <= MAX_SIZE else 0
