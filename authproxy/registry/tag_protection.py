"""What rules take away of a push or a delete that a token allows: they turn on what the registry holds.

A tag that must not move is set in one step that fails where it is there already, so that of two pushers at the same
moment one alone sets it.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing

from authproxy.digest import Digest
from authproxy.errors import Denied
from authproxy.oci.dependencies import read_mentions
from authproxy.reference import Repository, Tag
from authproxy.registry.exchange import Exchange
from authproxy.registry.links import find_digest, is_known, read_manifests, stored_manifests
from authproxy.registry.tags import Tags
from authproxy.storage.driver import Driver

# Manifests that are read in one go.
BATCH = 8


async def check_create(driver: Driver, exchange: Exchange) -> None:
    """Raise Denied where the repository is not there yet, and the caller may not make one."""
    permissions = exchange.permissions
    if permissions is None or not permissions.concern("create"):
        return
    refusal = permissions.refusal("create")
    if refusal is not None and not await is_known(driver, exchange.repository):
        raise refusal


class Restrictions:
    """Those that are about tags, for all repositories of a driver."""

    def __init__(self, driver: Driver, tags: Tags) -> None:
        self._driver = driver
        self._tags = tags

    async def of_push(self, exchange: Exchange, names: Collection[Digest], tags: Sequence[Tag]) -> Mapping[Tag, Denied]:
        """Those of `tags` that the caller may set and not move, each with the error for an attempt to.

        `names` are all digests of the manifest.
        Raises it where one would be moved now, and Denied where the caller may not make this repository.
        """
        await check_create(self._driver, exchange)
        permissions = exchange.permissions
        if permissions is None or not permissions.concern("overwrite"):
            return {}
        stays = {tag: refusal for tag in tags if (refusal := permissions.refusal("overwrite", tag))}
        for tag, refusal in stays.items():
            if not await self._is_free_for(exchange.repository, tag, names):
                raise refusal
        return stays

    async def set_new(
        self, repository: Repository, digest: Digest, names: Collection[Digest], tags: Mapping[Tag, Denied]
    ) -> None:
        """Set tags that must not move. Raises the error of one that somebody has set to another manifest meanwhile."""
        for tag, refusal in tags.items():
            if await self._tags.set_new(repository, tag, digest):
                continue
            if not await self._is_free_for(repository, tag, names):
                raise refusal

    async def check_delete(self, exchange: Exchange, names: Collection[Digest]) -> None:
        """Raise Denied where a tag that the caller may not delete needs this content, directly or by an index.

        `names` are all digests of the blob or manifest that is to be deleted.
        """
        permissions = exchange.permissions
        if permissions is None or not permissions.concern("delete"):
            return
        needed: dict[Digest, Denied] = {}  # what is to stay, each with the word of a tag that needs it
        async with aclosing(self._tags.links(exchange.repository)) as links:
            async for tag, link in links:
                digest = find_digest(link)
                if digest is not None and (refusal := permissions.refusal("delete", tag)):
                    needed.setdefault(digest, refusal)
        await self._check_needed(exchange.repository, needed, names)

    async def _check_needed(
        self, repository: Repository, needed: dict[Digest, Denied], names: Collection[Digest]
    ) -> None:
        unread = list(needed)
        while unread:
            batch, unread = unread[:BATCH], unread[BATCH:]
            contents = await read_manifests(self._driver, repository, batch)
            for digest in batch:
                mentions = read_mentions(contents.get(digest, b""))
                if digest in names or not mentions.blobs.isdisjoint(names):
                    raise needed[digest]
                for inner in mentions.manifests - needed.keys():
                    needed[inner] = needed[digest]
                    unread.append(inner)

    async def _is_free_for(self, repository: Repository, tag: Tag, names: Collection[Digest]) -> bool:
        """Whether the tag is not there, or points at this very manifest, under whichever of its names."""
        current = await self._tags.find(repository, tag)
        if current is None or current in names:
            return True
        return (await stored_manifests(self._driver, repository, [current])).get(current) in names
