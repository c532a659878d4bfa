"""The core's content, read without HTTP: see `content.Content`."""

from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from contextlib import aclosing
from itertools import islice

from authproxy.content import Reference
from authproxy.digest import Digest
from authproxy.pagination import LOOK
from authproxy.reference import Repository, Tag
from authproxy.registry.links import find_digest, is_known, read_manifests, stored_manifests
from authproxy.registry.repository_walk import find_repositories
from authproxy.registry.tags import Tags
from authproxy.storage.driver import Driver

# Manifests that are read at once.
BATCH = 8


class CoreContent:
    """The content of one driver."""

    def __init__(self, driver: Driver, tags: Tags) -> None:
        self._driver = driver
        self._tags = tags

    async def has_repository(self, repository: str) -> bool:
        """See Content."""
        return await is_known(self._driver, Repository(repository))

    async def find_names(self, repository: str, tag: Tag) -> Collection[Digest] | None:
        """See Content."""
        current = await self._tags.find(Repository(repository), tag)
        if current is None:
            return None
        stored = await stored_manifests(self._driver, Repository(repository), [current])
        return {current, stored.get(current, current)}

    async def tagged(self, repository: str) -> AsyncGenerator[Sequence[tuple[Tag, Reference]], None]:
        """See Content."""
        async with aclosing(self._tags.links(Repository(repository))) as links:
            async for tag, link in links:
                if (digest := find_digest(link)) is not None:
                    yield [(tag, digest)]

    async def read_manifests(
        self, repository: str, references: Iterable[Reference]
    ) -> AsyncGenerator[tuple[Reference, bytes], None]:
        """See Content."""
        rest = iter(references)
        while batch := list(islice(rest, BATCH)):
            digests = [await self._resolve(Repository(repository), reference) for reference in batch]
            contents = await read_manifests(
                self._driver, Repository(repository), [digest for digest in digests if digest is not None]
            )
            for reference, digest in zip(batch, digests, strict=True):
                yield reference, contents.get(digest, b"") if digest is not None else b""

    async def repositories(self, after: str = "") -> AsyncGenerator[Sequence[str], None]:
        """See Content."""
        while found := await find_repositories(self._driver, after=after, limit=LOOK):
            yield found
            if len(found) < LOOK:
                return
            after = found[-1]

    async def _resolve(self, repository: Repository, reference: Reference) -> Digest | None:
        return reference if isinstance(reference, Digest) else await self._tags.find(repository, reference)
