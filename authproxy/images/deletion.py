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
from authproxy.images.repository import RemoteRepository
from authproxy.registry_client.errors import RegistryClientError

# Questions to one registry at the same time.
JOBS = 8


@dataclass(frozen=True, slots=True)
class Tagged:
    """One tag: what it names, and when that was made, as far as it says."""

    tag: str
    digest: Digest
    created: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Doomed:
    """One manifest that is to go: the tags that were meant, and those that go with it."""

    digest: Digest
    meant: tuple[str, ...]
    shared: tuple[str, ...] = ()


def choose_old(tagged: Collection[Tagged], keep: int, before: dt.datetime | None) -> tuple[Tagged, ...]:
    """All but the `keep` newest, and of those what was made before a moment. What has no date is never chosen.

    With neither (`keep` 0, `before` None) all are chosen, those without a date too.
    """
    if not keep and before is None:
        return tuple(tagged)
    dated = [(one.created, one) for one in tagged if one.created is not None]
    newest_first = sorted(dated, key=lambda pair: (pair[0], pair[1].tag), reverse=True)
    return tuple(one for created, one in newest_first[keep:] if before is None or created < before)


def find_doomed(meant: Iterable[tuple[str | None, Digest]], all_tags: Mapping[str, Digest]) -> tuple[Doomed, ...]:
    """What has to be deleted so that tags, or what has a digest and was named by it alone (None), are gone; in order.

    `all_tags`: every tag of the repository.
    """
    by_digest: dict[Digest, list[str]] = {}
    for tag, digest in meant:
        by_digest.setdefault(digest, []).extend([] if tag is None else [tag])
    return tuple(_doom(digest, names, all_tags) for digest, names in by_digest.items())


def _doom(digest: Digest, meant: Sequence[str], all_tags: Mapping[str, Digest]) -> Doomed:
    shared = sorted(tag for tag, named in all_tags.items() if named == digest and tag not in meant)
    return Doomed(digest, tuple(dict.fromkeys(meant)), tuple(shared))


async def look_up(repository: RemoteRepository, tags: Sequence[str]) -> dict[str, Digest]:
    """What each tag names. A tag that has gone meanwhile is left out. Raises RegistryClientError."""
    turns = asyncio.Semaphore(JOBS)

    async def find(tag: str) -> Digest | None:
        async with turns:
            return await repository.find_digest(tag)

    found = await asyncio.gather(*map(find, tags))
    return {tag: digest for tag, digest in zip(tags, found, strict=True) if digest is not None}


async def date(
    repository: RemoteRepository, tags: Mapping[str, Digest]
) -> tuple[tuple[Tagged, ...], dict[Digest, str]]:
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
    return tuple(Tagged(tag, digest, moments[digest]) for tag, digest in tags.items()), faults


async def delete(repository: RemoteRepository, doomed: Doomed) -> str | None:
    """Delete, and look. Why it is not gone, in a sentence; None where it is. Raises RegistryClientError."""
    await repository.delete(doomed.digest)
    if await repository.find_digest(doomed.digest) is not None:
        return f"the registry said that {doomed.digest} is deleted, and still has it"
    left = await look_up(repository, (*doomed.meant, *doomed.shared))
    if still := [tag for tag, digest in left.items() if digest == doomed.digest]:
        return f"the registry has deleted {doomed.digest}, and still lists it as {', '.join(still)}"
    return None
