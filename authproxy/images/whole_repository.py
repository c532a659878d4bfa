"""A whole repository, to be deleted: finds its manifests, and the order in which a registry deletes them.

A registry keeps what an index names, so an index comes before its manifests. A referrer comes before its subject, which
leads to it: a run that was interrupted finds the rest again.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field

from authproxy.digest import Digest
from authproxy.images.deletion import JOBS, resolve_tags
from authproxy.images.endpoints import Missing
from authproxy.images.listing import tag_pages
from authproxy.images.repository import NeededBy, RegistryRepository, Unreadable
from authproxy.oci.manifest import Manifest
from authproxy.registry_client.client import RegistryClient
from authproxy.registry_client.errors import RegistryClientError

# All are held in memory, a kilobyte each. A registry may list them endlessly.
MAX_TAGS = 250_000
MAX_MANIFESTS = 250_000

# Pages of a list that bring nothing new. Some registries repeat the last entry of a page; a hostile one never ends.
MAX_KNOWN_PAGES = 10

# Manifests that are read before the next ones are planned.
BATCH = 64

# Sizes are numbers that anyone may have written into a manifest.
MAX_SIZE = 1 << 62

NOT_FOUND, SERVER_FAULT = 404, 500

# A registry that refuses one deletion so refuses all: no login for it, and deletion switched off.
_FOR_ALL = frozenset({401, 405})

# Deletions in a row that failed.
MAX_FAULTS = 20


@dataclass(frozen=True, slots=True)
class Part:
    """One manifest of the repository. `names`: those that have to stay as long as this one."""

    digest: Digest
    tags: tuple[str, ...] = ()
    names: frozenset[Digest] = frozenset()
    size: int | None = None  # bytes of its blobs; None: an index, or unknown


@dataclass(frozen=True, slots=True)
class Contents:
    """What a repository holds."""

    parts: tuple[Part, ...]
    """Its manifests, in the order of their deletion."""

    dangling: tuple[str, ...]
    """Tags without a manifest."""

    size: int
    """Bytes of all manifests' blobs, each counted once, as the manifests say."""

    is_complete: bool
    """Whether the registry lists all manifests. Otherwise there may be more: without a tag, and named by nothing."""

    @property
    def tags(self) -> int:
        """How many tags there are."""
        return len(self.dangling) + sum(len(part.tags) for part in self.parts)


async def find_contents(client: RegistryClient, name: str, repository: RegistryRepository) -> Contents:
    """Find everything in a repository, `name` of `client`. Raises Missing, RegistryClientError."""
    tags = await all_tags(client, name)
    listed = await repository.all_manifests(MAX_MANIFESTS)
    known = {tag: digest for digest, tags in (listed or {}).items() for tag in tags}
    digests = known | await resolve_tags(repository, [tag for tag in tags if tag not in known])
    survey = _Survey(repository, is_complete=listed is not None)
    await survey.read([*(listed or ()), *digests.values()])
    by_digest: dict[Digest, list[str]] = {}
    for tag, digest in digests.items():
        by_digest.setdefault(digest, []).append(tag)
    parts = [
        Part(digest, tuple(sorted(by_digest.get(digest, ()))), names, size)
        for digest, (names, size) in survey.found.items()
    ]
    return Contents(
        tuple(in_order_of_deletion(parts)),
        tuple(tag for tag in tags if tag not in digests),
        min(sum(survey.blobs.values()), MAX_SIZE),
        listed is not None,
    )


async def all_tags(client: RegistryClient, name: str) -> dict[str, None]:
    """The tags of a repository, each once. Raises Missing, RegistryClientError."""
    found: dict[str, None] = {}
    known = 0
    what = f"{client.host}/{name}"
    try:
        async for page in tag_pages(client, name, may_be_missing=False):
            known += _add_page(found, page, what)
            if known > MAX_KNOWN_PAGES:
                break
    except RegistryClientError as error:
        if error.status == NOT_FOUND:
            raise Missing(f"{what}: the registry has no such repository") from error
        raise
    if known > MAX_KNOWN_PAGES:
        raise RegistryClientError(f"{what}: its tags: the registry lists the same ones again and again")
    return found


def _add_page(found: dict[str, None], page: Sequence[str], what: str) -> bool:
    """Add a page. True: all of it was known. Raises RegistryClientError if there are too many."""
    before = len(found)
    found.update(dict.fromkeys(page))
    if len(found) > MAX_TAGS:
        raise RegistryClientError(f"{what}: more than {MAX_TAGS} tags; delete some by --match first")
    return len(found) == before


def in_order_of_deletion(parts: Sequence[Part]) -> list[Part]:
    """Each before those that it names."""
    by_digest = {part.digest: part for part in parts}
    namers = Counter(name for part in parts for name in part.names)
    free = deque(part.digest for part in parts if not namers[part.digest])
    ordered: dict[Digest, Part] = {}
    while free:
        digest = free.popleft()
        ordered[digest] = by_digest[digest]
        for name in by_digest[digest].names:
            namers[name] -= 1
            if not namers[name] and name in by_digest:
                free.append(name)
    # Only a broken hash would leave some: manifests that name each other.
    return [*ordered.values(), *(part for part in parts if part.digest not in ordered)]


@dataclass(slots=True)
class _Survey:
    """Reads manifests, and what leads from one to the next."""

    repository: RegistryRepository
    is_complete: bool  # referrers are listed with everything else
    found: dict[Digest, tuple[frozenset[Digest], int | None]] = field(default_factory=dict)
    blobs: dict[Digest, int] = field(default_factory=dict)

    async def read(self, digests: Iterable[Digest]) -> None:
        """Read these, which are there, and those that they lead to, which may not be."""
        roots = dict.fromkeys(digests)
        unread, seen = deque(roots), set(roots)
        turns = asyncio.Semaphore(JOBS)
        while unread:
            batch = [unread.popleft() for _ in range(min(BATCH, len(unread)))]
            for digest, next_ones in zip(
                batch, await asyncio.gather(*(self._read(each, turns) for each in batch)), strict=True
            ):
                if next_ones is None:
                    if digest in roots:  # damaged; it can be deleted all the same
                        self.found[digest] = frozenset(), None
                    continue
                unread += (new := [each for each in dict.fromkeys(next_ones) if each not in seen])
                seen.update(new)
                if len(seen) > MAX_MANIFESTS:
                    raise RegistryClientError(
                        f"{self.repository.place}: more than {MAX_MANIFESTS} manifests; delete some by --match first"
                    )

    async def _read(self, digest: Digest, turns: asyncio.Semaphore) -> list[Digest] | None:
        """The manifests that one leads to. None: it is not there, or can't be read."""
        async with turns:
            try:
                manifest = await self.repository.manifest(digest)
            except (Missing, Unreadable):
                return None
            except RegistryClientError as error:
                if (error.status or 0) < SERVER_FAULT:
                    raise
                return None
            self._note(digest, manifest)
            children = [child.digest for child in manifest.children]
            if self.is_complete:
                return children
            return [*children, *(each.digest for each in await self.repository.referrers(digest))]

    def _note(self, digest: Digest, manifest: Manifest) -> None:
        names = {child.digest for child in manifest.children}
        if manifest.subject is not None:
            names.add(manifest.subject.digest)
        self.found[digest] = frozenset(names), None if manifest.is_index else _total(manifest)
        self.blobs[digest] = len(manifest.content)
        self.blobs |= {blob.digest: min(blob.size, MAX_SIZE) for blob in manifest.blobs}


def _total(manifest: Manifest) -> int:
    return min(sum(blob.size for blob in manifest.blobs), MAX_SIZE)


async def find_left(
    client: RegistryClient, name: str, repository: RegistryRepository
) -> list[tuple[str, Digest | None]]:
    """What a repository still has: `:tag` with its digest, if it has a manifest, and `@digest` of those without a tag.

    Raises RegistryClientError.
    """
    try:
        tags = await all_tags(client, name)
    except Missing:
        return []
    digests = await resolve_tags(repository, list(tags))
    listed = await repository.all_manifests(MAX_MANIFESTS) or {}
    untagged = listed.keys() - set(digests.values())
    return [
        *((f":{tag}", digests.get(tag)) for tag in tags),
        *((f"@{digest}", digest) for digest in sorted(untagged)),
    ]


async def delete_parts(
    repository: RegistryRepository, parts: Sequence[Part]
) -> AsyncIterator[tuple[Part, RegistryClientError | None]]:
    """Delete manifests one after the other, in this order. Yields each with what went wrong.

    Raises RegistryClientError once it is of no use to go on.
    """
    needed: list[Part] = []
    faults = 0
    for count, part in enumerate(parts, 1):
        error = await _delete(repository, part)
        if isinstance(error, NeededBy):
            needed.append(part)
            continue
        yield part, error
        faults = 0 if error is None else faults + 1
        if error is not None and count < len(parts) and (error.status in _FOR_ALL or faults == MAX_FAULTS):
            raise RegistryClientError(f"{repository.place}: stopped; {len(parts) - count} more were not tried")
    for part in needed:  # again: it may have been needed under another digest of the same manifest
        yield part, await _delete(repository, part)


async def _delete(repository: RegistryRepository, part: Part) -> RegistryClientError | None:
    try:
        await repository.delete(part.digest)
        if await repository.find_digest(part.digest) is None:
            return None
    except RegistryClientError as error:
        return error
    return RegistryClientError(
        f"the registry confirmed that {part.digest} is deleted, but has it: it may have been pushed again"
    )
