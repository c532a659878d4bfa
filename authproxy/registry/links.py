"""What a repository holds: links to content, which is stored once for all repositories under its sha256 digest.

A sha512 digest is a second name: its link holds the sha256 digest. For blobs it counts only as long as the sha256 link
exists too, so that deleting a blob by either name deletes it by both.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

from authproxy.digest import Digest, parse_digest
from authproxy.errors import DigestInvalid
from authproxy.reference import Repository
from authproxy.storage import layout, state_layout
from authproxy.storage.driver import MAX_SMALL_BYTES, Driver, list_all
from authproxy.storage.layout import StorePath

# The digest of no bytes: the only content that an empty file may hold.
EMPTY = Digest.of(b"")

# Hashing less than this, in bytes, is quicker than handing it to a thread.
HASH_AT_ONCE_BYTES = 128 * 1024


def find_digest(link: bytes | None) -> Digest | None:
    """The digest that a link holds. None where there is no link, or it is damaged."""
    if link is None:
        return None
    try:
        return parse_digest(link.decode("latin-1").strip())
    except DigestInvalid:
        return None


def to_link(digest: Digest) -> bytes:
    """The content of a link to a digest."""
    return str(digest).encode()


async def digest_of(content: bytes, algorithm: str) -> Digest:
    """The digest of a manifest's bytes; computed in a thread if they are many."""
    if len(content) <= HASH_AT_ONCE_BYTES:
        return Digest.of(content, algorithm)
    return await asyncio.to_thread(Digest.of, content, algorithm)


async def stored_blobs(
    driver: Driver, repository: Repository, digests: Sequence[Digest], *, fresh: bool = False
) -> dict[Digest, Digest]:
    """For each of these blobs that the repository holds, the digest under which it is stored. `fresh`: see Driver."""
    links = await driver.read([layout.layer_link(repository, digest) for digest in digests], fresh=fresh)
    found = {digest: stored for digest, link in zip(digests, links, strict=True) if (stored := find_digest(link))}
    aliases = [digest for digest, stored in found.items() if stored != digest]
    if aliases:
        originals = await driver.read([layout.layer_link(repository, found[alias]) for alias in aliases], fresh=fresh)
        for alias, link in zip(aliases, originals, strict=True):
            if find_digest(link) != found[alias]:
                del found[alias]
    return found


async def stored_manifests(
    driver: Driver, repository: Repository, digests: Sequence[Digest], *, fresh: bool = False
) -> dict[Digest, Digest]:
    """For each of these manifests that the repository holds, the digest under which it is stored."""
    links = await driver.read([layout.revision_link(repository, digest) for digest in digests], fresh=fresh)
    return {digest: stored for digest, link in zip(digests, links, strict=True) if (stored := find_digest(link))}


async def read_manifests(
    driver: Driver, repository: Repository, digests: Sequence[Digest], *, fresh: bool = False
) -> dict[Digest, bytes]:
    """The bytes of those manifests that the repository holds and whose content is stored."""
    # They are nearly always stored under these digests, so links and contents are read at once.
    paths = [layout.revision_link(repository, digest) for digest in digests]
    read = await driver.read([*paths, *(layout.blob(digest) for digest in digests)], fresh=fresh)
    stored = [find_digest(link) for link in read[: len(digests)]]
    contents = dict(zip(digests, read[len(digests) :], strict=True))
    others = {digest: held for digest, held in zip(digests, stored, strict=True) if held and held != digest}
    if others:
        contents |= zip(others, await driver.read([layout.blob(held) for held in others.values()]), strict=True)
    # An empty file is not a manifest: a crash of another program has left it.
    return {
        digest: content for digest, held in zip(digests, stored, strict=True) if held and (content := contents[digest])
    }


async def each_manifest(
    driver: Driver, repository: Repository, digests: Sequence[Digest], *, fresh: bool = False
) -> AsyncIterator[tuple[Digest, bytes]]:
    """`read_manifests`, one after the other: about MAX_SMALL_BYTES of them are in memory together, however many."""
    first = total = 0
    for place, size in enumerate(await driver.sizes([layout.blob(digest) for digest in digests])):
        length = size if size is not None else MAX_SMALL_BYTES // 2  # a sha512 digest, probably
        if place > first and total + length > MAX_SMALL_BYTES:
            for found in (await read_manifests(driver, repository, digests[first:place], fresh=fresh)).items():
                yield found
            first, total = place, 0
        total += length
    for found in (await read_manifests(driver, repository, digests[first:], fresh=fresh)).items():
        yield found


async def sizes_of(driver: Driver, stored: Sequence[Digest]) -> list[int | None]:
    """The sizes in bytes of stored contents; None where there is no content.

    An empty file counts as absent, except under the digest of no bytes: a crash of another program has left it, and
    clients should push the content again.
    """
    sizes = await driver.sizes([layout.blob(digest) for digest in stored])
    return [size if size or digest == EMPTY else None for digest, size in zip(stored, sizes, strict=True)]


async def blob_names(driver: Driver, repository: Repository, stored: Digest) -> set[Digest]:
    """Every digest by which the repository holds a blob that is stored under this one."""
    names = {stored}
    async for found in list_all(driver, layout.layer_links(repository, "sha512")):
        aliases = [Digest("sha512", name) for name in found]
        links = await driver.read([layout.layer_link(repository, alias) for alias in aliases])
        names.update(alias for alias, link in zip(aliases, links, strict=True) if find_digest(link) == stored)
    return names


def blob_links(repository: Repository, digest: Digest, stored: Digest) -> dict[StorePath, bytes]:
    """The links by which a repository holds stored content as a blob, under both of its digests."""
    return {layout.layer_link(repository, name): to_link(stored) for name in (stored, digest)}


async def is_known(driver: Driver, repository: Repository) -> bool:
    """Whether the repository exists: it holds manifests, or only blobs so far."""
    # "_" sorts before every lower-case letter: the folders of a repository come before those of longer names.
    return await is_known_by(
        driver, repository, await driver.list_names(layout.repository(repository), after="_", limit=8)
    )


async def is_known_by(driver: Driver, repository: Repository, folders: Sequence[str]) -> bool:
    """`is_known`, given the names of its folders.

    A repository whose last manifest was deleted does not exist any more, though blobs stay until they are collected.
    """
    if layout.MANIFESTS in folders:
        return layout.REVISIONS in await driver.list_names(layout.manifests(repository), limit=8)
    if layout.LAYERS not in folders:
        return False
    return await driver.sizes([state_layout.deletions(repository)]) == [None]
