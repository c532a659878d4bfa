"""Deletes images: chooses tags, finds the other tags that are deleted with them, and verifies the deletion.

A registry deletes a manifest, and with it every tag that points to it. So the other tags are looked up before, and the
registry is asked again afterwards.
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

# Concurrent requests to one registry.
JOBS = 8


@dataclass(frozen=True, slots=True)
class DatedTag:
    """A tag, the digest that it points to, and the date in that image, if any."""

    tag: str
    digest: Digest
    created: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Deletion:
    """One manifest to delete: the requested tags, and the other tags that are deleted with it (`shared`)."""

    digest: Digest
    tags: tuple[str, ...]
    shared: tuple[str, ...] = ()


def choose_old(tagged: Collection[DatedTag], keep: int, before: dt.datetime | None) -> tuple[DatedTag, ...]:
    """All but the `keep` newest, and of these only those created before `before`. Tags without a date are not chosen.

    With neither rule (`keep` 0, `before` None) all are chosen, also those without a date.
    """
    if not keep and before is None:
        return tuple(tagged)
    dated = [(one.created, one) for one in tagged if one.created is not None]
    newest_first = sorted(dated, key=lambda pair: (pair[0], pair[1].tag), reverse=True)
    return tuple(one for created, one in newest_first[keep:] if before is None or created < before)


def plan_deletions(wanted: Iterable[tuple[str | None, Digest]], all_tags: Mapping[str, Digest]) -> tuple[Deletion, ...]:
    """The deletions, in order, that remove `wanted`: tags with their digests, or None for an image given by digest.

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
    """The digest of each tag, without tags that no longer exist. Raises RegistryClientError."""
    found: dict[str, Digest | None] = dict.fromkeys(tags)
    rest = iter(list(found))

    async def work() -> None:
        for tag in rest:
            found[tag] = await repository.find_digest(tag)

    workers = [asyncio.create_task(work()) for _ in range(JOBS)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
    return {tag: digest for tag, digest in found.items() if digest is not None}


async def read_dates(
    repository: RegistryRepository, tags: Mapping[str, Digest]
) -> tuple[tuple[DatedTag, ...], dict[Digest, str]]:
    """The tags with dates, and the errors of manifests that could not be read. Each manifest is read once."""
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
    """Delete and verify. Returns None, or a sentence if it still exists. Raises RegistryClientError."""
    await repository.delete(deletion.digest)
    if await repository.find_digest(deletion.digest) is not None:
        return f"the registry confirmed that {deletion.digest} is deleted, but still has it"
    left = await resolve_tags(repository, (*deletion.tags, *deletion.shared))
    if still := [tag for tag, digest in left.items() if digest == deletion.digest]:
        return f"the registry has deleted {deletion.digest}, but still lists it as {', '.join(still)}"
    return None
