"""What a repository holds: links that name content, which is stored once for all repositories under its sha256.

A sha512 digest is a second name: its link holds the sha256 digest. For blobs it counts only as long as the sha256
link stands beside it, so that deleting a blob by either name deletes it by both.
"""

import asyncio
from collections.abc import Sequence

from authproxy.digest import Digest, parse_digest
from authproxy.errors import DigestInvalid
from authproxy.reference import Repository
from authproxy.storage import layout
from authproxy.storage.driver import Driver

# Hashing less than this, in bytes, is quicker than handing it to a thread.
HASH_AT_ONCE_BYTES = 128 * 1024


def find_digest(link: bytes | None) -> Digest | None:
    """The digest that a link holds. None where there is no link, or it is damaged: both hold nothing."""
    if link is None:
        return None
    try:
        return parse_digest(link.decode("latin-1").strip())
    except DigestInvalid:
        return None


def to_link(digest: Digest) -> bytes:
    """What the link to a digest holds."""
    return str(digest).encode()


async def digest_of(content: bytes, algorithm: str) -> Digest:
    """The digest of a manifest's bytes; of many bytes in a thread."""
    if len(content) <= HASH_AT_ONCE_BYTES:
        return Digest.of(content, algorithm)
    return await asyncio.to_thread(Digest.of, content, algorithm)


async def stored_blobs(driver: Driver, repository: Repository, digests: Sequence[Digest]) -> dict[Digest, Digest]:
    """Under which digest each blob that the repository holds is stored. Those that it lacks are not in the answer."""
    links = await driver.read([layout.layer_link(repository, digest) for digest in digests])
    found = {digest: stored for digest, link in zip(digests, links, strict=True) if (stored := find_digest(link))}
    aliases = [digest for digest, stored in found.items() if stored != digest]
    if aliases:
        originals = await driver.read([layout.layer_link(repository, found[alias]) for alias in aliases])
        for alias, link in zip(aliases, originals, strict=True):
            if find_digest(link) != found[alias]:
                del found[alias]
    return found


async def stored_manifests(driver: Driver, repository: Repository, digests: Sequence[Digest]) -> dict[Digest, Digest]:
    """Under which digest each manifest that the repository holds is stored."""
    links = await driver.read([layout.revision_link(repository, digest) for digest in digests])
    return {digest: stored for digest, link in zip(digests, links, strict=True) if (stored := find_digest(link))}


async def link_blob(driver: Driver, repository: Repository, digest: Digest, stored: Digest) -> None:
    """Let a repository hold stored content as a blob, also by its second name. Durable on return."""
    await driver.write(layout.layer_link(repository, stored), to_link(stored))
    if digest != stored:
        await driver.write(layout.layer_link(repository, digest), to_link(stored))


async def is_known(driver: Driver, repository: Repository) -> bool:
    """A repository is what holds blobs or manifests (CNCF Distribution 2.8 knows it by the one, 3.x by the other)."""
    # "_" stands before every lower-case letter: the folders of a repository come before those of longer names.
    names = await driver.list_names(layout.repository(repository), after="_", limit=8)
    return layout.LAYERS in names or layout.MANIFESTS in names
