"""Deleting images: which tags go, what else goes with them, and whether they are really gone.

A registry deletes a manifest, and with it every tag that names it. So tags that somebody wants to keep are looked at
before, and afterwards the registry is asked again.
"""

import asyncio
import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from authproxy.digest import Digest
from authproxy.images.details import read_details
from authproxy.images.endpoints import Missing
from authproxy.images.repository import RegistryRepository
from authproxy.registry_client.errors import RegistryClientError

# Questions to one registry at the same time.
JOBS = 8


@dataclass(frozen=True, slots=True)
class DatedTag:
    """One tag: what it names, and when that was made, as far as it says."""

    tag: str
    digest: Digest
    created: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Deletion:
    """One manifest that is to go: the tags that were meant, and those that go with it."""

    digest: Digest
    tags: tuple[str, ...]
    shared: tuple[str, ...] = ()


def choose_old(tagged: Collection[DatedTag], keep: int, before: dt.datetime | None) -> tuple[DatedTag, ...]:
    """All but the `keep` newest, and of those what was made before a moment. What has no date is never chosen.

    With neither (`keep` 0, `before` None) all are chosen, those without a date too.
    """
    if not keep and before is None:
        return tuple(tagged)
    dated = [(one.created, one) for one in tagged if one.created is not None]
    newest_first = sorted(dated, key=lambda pair: (pair[0], pair[1].tag), reverse=True)
    return tuple(one for created, one in newest_first[keep:] if before is None or created < before)


def plan_deletions(wanted: Iterable[tuple[str | None, Digest]], all_tags: Mapping[str, Digest]) -> tuple[Deletion, ...]:
    """What has to be deleted so that tags, or what has a digest and was named by it alone (None), are gone; in order.

    `all_tags`: every tag of the repository.
    """
    by_digest: dict[Digest, list[str]] = {}
    for tag, digest in wanted:
        by_digest.setdefault(digest, []).extend([] if tag is None else [tag])
    return tuple(_plan(digest, names, all_tags) for digest, names in by_digest.items())


def _plan(digest: Digest, tags: Sequence[str], all_tags: Mapping[str, Digest]) -> Deletion:
    shared = sorted(tag for tag, named in all_tags.items() if named == digest and tag not in tags)
    return Deletion(digest, tuple(dict.fromkeys(tags)), tuple(shared))


async def resolve_tags(repository: RegistryRepository, tags: Sequence[str]) -> dict[str, Digest]:
    """What each tag names. A tag that has gone meanwhile is left out. Raises RegistryClientError."""
    turns = asyncio.Semaphore(JOBS)

    async def find(tag: str) -> Digest | None:
        async with turns:
            return await repository.find_digest(tag)

    found = await asyncio.gather(*map(find, tags))
    return {tag: digest for tag, digest in zip(tags, found, strict=True) if digest is not None}


async def read_dates(
    repository: RegistryRepository, tags: Mapping[str, Digest]
) -> tuple[tuple[DatedTag, ...], dict[Digest, str]]:
    """The same with dates; each manifest is read once. Also which could not be read, and why: they have no date."""
    turns = asyncio.Semaphore(JOBS)
    faults: dict[Digest, str] = {}

    async def find(digest: Digest) -> dt.datetime | None:
        async with turns:
            try:
                return (await read_details(repository, digest)).created
            except (Missing, RegistryClientError) as error:
                faults[digest] = str(error)
                return None

    digests = tuple(dict.fromkeys(tags.values()))
    moments = dict(zip(digests, await asyncio.gather(*map(find, digests)), strict=True))
    return tuple(DatedTag(tag, digest, moments[digest]) for tag, digest in tags.items()), faults


async def delete(repository: RegistryRepository, deletion: Deletion) -> str | None:
    """Delete, and look. Why it is not gone, in a sentence; None where it is. Raises RegistryClientError."""
    await repository.delete(deletion.digest)
    if await repository.find_digest(deletion.digest) is not None:
        return f"the registry said that {deletion.digest} is deleted, and still has it"
    left = await resolve_tags(repository, (*deletion.tags, *deletion.shared))
    if still := [tag for tag, digest in left.items() if digest == deletion.digest]:
        return f"the registry has deleted {deletion.digest}, and still lists it as {', '.join(still)}"
    return None
